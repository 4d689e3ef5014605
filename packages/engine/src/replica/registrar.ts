/**
 * Carries out at the authority what sessions ask of it (`requests.ts`): judges each by the rules as they stand when the entry is written,
 * and answers once it is durable. Whoever may not read a repository is told no more than that there is none.
 */
import { toHex } from '../bytes/bytes.ts'
import type { Plain } from '../bytes/plain.ts'
import { isRefusal, type Refusal, refusal } from '../bytes/refusal.ts'
import type { Certificate } from '../trust/certificate.ts'
import type { Statement, Subject } from '../trust/entry.ts'
import type { Authority } from './authority.ts'
import type { Certificates } from './certificates.ts'
import type { Clock } from './clock.ts'
import { erase } from './eraser.ts'
import type { Judging, Person } from './judging.ts'
import type { Runtime } from './ports.ts'
import type { Repository } from './repository.ts'
import { decodeRequest, type Request } from './requests.ts'

export interface Registry {
  readonly runtime: Runtime
  readonly clock: Clock
  readonly authority: Authority
  readonly judging: Judging
  readonly certificates: Certificates
  /** Runs `use` with the open repository, and lets go of it afterwards. */
  withRepository<Result>(path: string, use: (repository: Repository) => Promise<Result>): Promise<Result>
  revoke(subject: Subject, reason: string): Promise<Refusal | undefined>
}

type RepositoryRequest = Exclude<Request, { method: 'revoke' }>

export class Registrar {
  readonly #of: Registry

  constructor(of: Registry) {
    this.#of = of
  }

  /** Undefined once what was asked is durable. */
  async request(method: string, args: Plain, certificate: Certificate | undefined): Promise<Refusal | undefined> {
    if (certificate === undefined) return refusal('UnknownSession', method)
    if (certificate.expires < this.#of.clock.now()) return refusal('CertificateExpired', certificate.session)
    if (this.#of.judging.hasEnded(certificate)) return refusal('Revoked', method)
    const request = decodeRequest(method, args)
    if (isRefusal(request)) return request
    if (request.method === 'revoke') return this.#revoke(request.session, request.reason, certificate)
    return this.#of.withRepository(request.path, async (repository) => {
      if (repository.recovering) return refusal('Recovering', request.path)
      // A wrong code says no more than that it is wrong.
      const none = request.method === 'join' ? 'InvitationOver' : 'UnknownRepository'
      if (repository.pipeline.durableEntries === 0) return refusal(none, request.path)
      return this.#judge(request, repository, certificate)
    })
  }

  async #revoke(session: string, reason: string, { owner }: Certificate): Promise<Refusal | undefined> {
    if (this.#of.certificates.get(session)?.owner !== owner) return refusal('NotAllowed', `revoke ${session}`)
    return this.#of.revoke({ session }, reason)
  }

  #judge(request: RepositoryRequest, repository: Repository, person: Person): Promise<Refusal | undefined> {
    if (request.method === 'join') return this.#join(request, repository, person)
    const { judging } = this.#of
    const { pipeline } = repository
    const mayNot = (): Refusal | undefined => {
      const unread = judging.read(pipeline.log, pipeline.durableEntries, person)
      if (unread !== undefined) return refusal('UnknownRepository', request.path)
      if (request.method === 'erase') return judging.erase(pipeline.log, pipeline.durableEntries, person)
      const subject = { owner: request.method === 'grant' ? request.owner : '' }
      // Whoever withdraws an invitation has to be somebody who may make it, whatever role they name.
      const standing = request.method === 'invite' ? pipeline.log.invitation(request.secret)?.statement : undefined
      return judging.grant(pipeline.log, pipeline.durableEntries, person, subject, standing?.role ?? request.role)
    }
    switch (request.method) {
      case 'grant':
        return this.#grant(request, repository, person, mayNot)
      case 'invite':
        return this.#invite(request, repository, person, mayNot)
      case 'erase':
        return erase(this.#of.authority, repository, { ...request, by: person.owner }, mayNot)
    }
  }

  #grant(
    { owner, role, fences }: Extract<Request, { method: 'grant' }>,
    repository: Repository,
    { owner: by }: Person,
    mayNot: () => Refusal | undefined,
  ): Promise<Refusal | undefined> {
    const { log } = repository.pipeline
    const statement: Statement = { kind: 'grant', owner, role, by, fences, founding: false }
    const isSo = (): boolean => (log.roleAt(owner, log.next) ?? null) === role
    return this.#of.authority.write(repository, [statement], () => mayNot() ?? (isSo() ? 'done' : undefined))
  }

  #invite(
    { secret, role, expires, uses }: Extract<Request, { method: 'invite' }>,
    repository: Repository,
    { owner: by }: Person,
    mayNot: () => Refusal | undefined,
  ): Promise<Refusal | undefined> {
    if (uses > 0 && expires <= this.#of.clock.now())
      return Promise.resolve(refusal('InvitationOver', 'it is to expire'))
    const mayNotNow = (): Refusal | 'done' | undefined => {
      const why = mayNot()
      if (why !== undefined) return why
      const standing = repository.pipeline.log.invitation(secret)
      if (standing !== undefined && uses > 0) return refusal('NotAllowed', 'there is an invitation of that code')
      return standing === undefined && uses === 0 ? 'done' : undefined
    }
    return this.#of.authority.write(repository, [{ kind: 'invitation', secret, role, expires, uses, by }], mayNotNow)
  }

  /** Whoever has the secret gets the role, as long as whoever invited may still give it. Somebody who was put out needs a newer invitation. */
  #join(
    { path, secret }: Extract<Request, { method: 'join' }>,
    repository: Repository,
    { owner }: Person,
  ): Promise<Refusal | undefined> {
    const { authority, certificates, clock, judging, runtime } = this.#of
    const { pipeline } = repository
    const hash = toHex(runtime.hash(secret))
    const standing = pipeline.log.invitation(hash)
    if (standing === undefined) return Promise.resolve(refusal('InvitationOver', path))
    const { role, by } = standing.statement
    // One entry for both, or a crash in between would leave a use too many.
    const grant: Statement = { kind: 'grant', owner, role, by, fences: false, founding: false, invitation: hash }
    const mayNot = (): Refusal | 'done' | undefined => {
      const { log, durableEntries } = pipeline
      if (log.roleAt(owner, durableEntries - 1) !== undefined) return 'done'
      const over = refusal('InvitationOver', path)
      const now = log.invitation(hash)
      if (now === undefined || now.statement.expires <= clock.now() || now.n <= (log.takenAt(owner) ?? -1)) return over
      if (judging.hasEnded({ session: '', owner: by })) return over
      const inviter = { session: certificates.ofOwner(by)?.session ?? '', owner: by }
      return judging.grant(log, durableEntries, inviter, { owner }, role) === undefined ? undefined : over
    }
    return authority.write(repository, [grant], mayNot)
  }
}
