/**
 * A member of the mesh among people made by hand: a real replica and a real server, whose mesh transport counts every attempt that is begun
 * and opens a channel to whoever stands ready for it. The others hold certificates, and say what a row wants, to the server and straight.
 */
import { anonymous, create, grant, type PeerTransport, type Rules, read, write } from '@weft-db/engine'
import { toHex } from '../../packages/engine/src/bytes/bytes.ts'
import { limits } from '../../packages/engine/src/bytes/limits.ts'
import { isRefusal } from '../../packages/engine/src/bytes/refusal.ts'
import { encodeSignalBody, type SignalBody, sealSignal, signalLife } from '../../packages/engine/src/mesh/signal.ts'
import {
  type CertificateBody,
  encodeCertificate,
  readCertificate,
} from '../../packages/engine/src/trust/certificate.ts'
import { messageOf, sealBody } from '../../packages/engine/src/trust/signed.ts'
import { Card, Lab, type Replica } from '../road/lab.ts'
import { memoryPair } from '../sim/memory-transport.ts'
import type { Stream } from '../sim/random.ts'
import { type Speaker, Spoken } from './spoken.ts'
import { hash } from './target.ts'

/** Boards are for those with a role, and made by whoever logged in; the hall is for everybody. */
export const rules: Rules = [
  create('/board/:id', ({ owner }) => (owner?.startsWith('anonymous:') === true ? 'owner' : undefined)),
  read('/board/:id', ({ role }) => role !== undefined),
  write('/board/:id', ({ role }) => role === 'owner'),
  grant('/board/:id', ({ role }) => role === 'owner'),
  read('/hall/:id', () => true),
  write('/hall/:id', () => true),
]

export const hall = '/hall/open'

export class Company {
  readonly lab: Lab
  /** Attempts that the member's transport was asked to begin. */
  begun = 0
  readonly #ready = new Map<string, (spoken: Spoken) => void>()
  readonly #speakers = new Map<string, Speaker>()
  #authority: Replica | undefined
  #member: Replica | undefined
  #people = 0
  readonly #draws: Stream

  private constructor(seed: string) {
    this.lab = new Lab(seed)
    this.#draws = this.lab.world.stream('company')
  }

  static async open(seed: string): Promise<Company> {
    const company = new Company(seed)
    const { lab } = company
    company.#authority = await lab.authority({ rules, logins: [anonymous()] })
    company.#member = await lab.join('ada', { rules, mesh: { transport: company.#transport(), mode: 'direct' } })
    const repository = company.member.database.repository(hall)
    await lab.until(() => repository.synced)
    repository.create(Card, { title: 'welcome' })
    await lab.run(500)
    return company
  }

  get member(): Replica {
    if (this.#member === undefined) throw new Error('nobody is here')
    return this.#member
  }

  get authority(): Replica {
    if (this.#authority === undefined) throw new Error('there is no server')
    return this.#authority
  }

  get network(): string {
    const { network } = this.authority.database
    if (network === undefined) throw new Error('there is no network')
    return network
  }

  /** The member's session. */
  get session(): string {
    const session = this.member.database.person?.session
    if (session === undefined) throw new Error('the member is not certified')
    return session
  }

  get now(): number {
    return this.member.database.clock.now()
  }

  #transport(): PeerTransport {
    return {
      attempt: ({ remote, initiator }, listener) => {
        this.begun++
        const ready = this.#ready.get(remote)
        const speaker = this.#speakers.get(remote)
        let isOver = false
        this.lab.world.at(20, 'attempt', () => {
          if (isOver) return
          if (ready === undefined || speaker === undefined)
            return listener.failed({ kind: 'blocked', detail: 'no packet came through' })
          const binding = new Uint8Array(64).fill(this.begun & 0xff)
          const pair = memoryPair()
          const [mine, theirs] = initiator ? [pair.a, pair.b] : [pair.b, pair.a]
          mine.start((channel) => listener.opened(Object.assign(channel, { binding }), 'direct'))
          theirs.start((channel) => ready(new Spoken(channel, speaker, { network: this.network, binding })))
          pair.connect()
        })
        return {
          signal: () => undefined,
          end: () => {
            isOver = true
          },
        }
      },
      stop: async () => undefined,
    }
  }

  /** Somebody with a key and a certificate, as the authority gives it but for the changes. */
  async person(change: Partial<CertificateBody> = {}, signer = this.lab.authorityKey): Promise<Speaker> {
    const key = this.lab.key(`person ${this.#people++}`)
    const body = encodeCertificate({
      network: this.network,
      publicKey: key.publicKey,
      owner: `person:${this.#people}`,
      name: 'Somebody',
      issued: this.now,
      expires: this.now + limits.certificateLife,
      number: 1,
      signer: toHex(hash(this.lab.authorityKey.publicKey)),
      ...change,
    })
    const signature = await signer.sign(messageOf('certificate', body, hash))
    const certificate = readCertificate(sealBody(body, signature, hash).bytes, hash)
    if (isRefusal(certificate)) throw new Error(certificate.code)
    this.#speakers.set(certificate.session, { key, certificate })
    return { key, certificate }
  }

  /** A signal to the member as that person could make it; what is given takes the place of what is right. */
  async signal(from: Speaker, wrong: Partial<SignalBody> = {}, { signer = from.key } = {}): Promise<Uint8Array> {
    const { session } = from.certificate
    const body = encodeSignalBody({
      network: this.network,
      from: session,
      to: this.session,
      attempt: toHex(this.#draws.bytes(16)),
      number: 0,
      expires: this.now + signalLife,
      // Whoever comes first offers; the other one asks for the offer.
      content: session < this.session ? { kind: 'path', parts: [new Uint8Array(8)] } : { kind: 'ask', urgent: false },
      ...wrong,
    })
    const signature = await signer.sign(messageOf('signal', body, hash))
    return sealSignal(body, signature, from.certificate.bytes)
  }

  /** That person on a channel to the server, having asked for these repositories. */
  async online(speaker: Speaker, paths: readonly string[]): Promise<Spoken> {
    const spoken = new Spoken(this.lab.dial().channel, speaker, { network: this.network })
    await this.lab.until(() => spoken.isProved)
    for (const [tag, path] of paths.entries()) spoken.subscribe(tag, path)
    await this.lab.run(200)
    return spoken
  }

  /** That person on a channel straight to the member, to whom it speaks by way of the server. */
  async neighbour(speaker: Speaker, server: Spoken): Promise<Spoken> {
    let straight: Spoken | undefined
    const { session } = speaker.certificate
    this.#ready.set(session, (spoken) => {
      straight = spoken
    })
    server.send({ kind: 'carry', session: this.session, signal: await this.signal(speaker) })
    await this.lab.until(() => straight?.isProved === true, 5_000)
    this.#ready.delete(session)
    await this.lab.run(100)
    if (straight === undefined) throw new Error('no channel came about')
    return straight
  }
}
