/**
 * A replica under attack: a whole `Database` with its log in memory, real signatures unless told, a clock that a row sets, and the
 * authority's key in the hands of the row, so that it can certify whom it likes. What is offered goes the way of everything a channel
 * brings: certificates, entries and commits as bytes, into the pipeline of the repository.
 */
import {
  type Code,
  type Commit,
  Database,
  type DatabaseOptions,
  type Files,
  type Incident,
  type Repository,
  type Runtime,
  type Schema,
  type SigningKey,
} from '@weft-db/engine'
import { memoryKeys, nodeRuntime } from '@weft-db/runtime/node'
import { memoryFiles } from '@weft-db/storage/memory'
import { toHex } from '../../packages/engine/src/bytes/bytes.ts'
import { limits } from '../../packages/engine/src/bytes/limits.ts'
import { isRefusal } from '../../packages/engine/src/bytes/refusal.ts'
import {
  composeCommit,
  type Draft,
  type Header,
  type SchemaName,
  sealCommit,
  signedBytes,
} from '../../packages/engine/src/commit/commit.ts'
import {
  type Certificate,
  type CertificateBody,
  encodeCertificate,
  readCertificate,
} from '../../packages/engine/src/trust/certificate.ts'
import { messageOf, sealBody } from '../../packages/engine/src/trust/signed.ts'
import { Card } from '../road/lab.ts'
import { type Stream, stream } from '../sim/random.ts'
import { Signatures } from '../sim/signatures.ts'

export { Card }
export const { hash } = nodeRuntime()
export const board = '/board/attacked'

export const nameOf = (schema: Schema): SchemaName => ({
  name: schema.name,
  version: schema.version,
  hash: toHex(hash(schema.definition)),
})
export const cardName = nameOf(Card)

/** Somebody with a key and a certificate, who composes commits by hand. */
export interface Person {
  readonly key: SigningKey
  readonly certificate: Certificate
  readonly session: string
}

export interface CommitChange {
  readonly header?: Partial<Header>
  readonly draft?: Partial<Draft>
  readonly drafts?: readonly Partial<Draft>[]
  /** The commit of the same chain before it. */
  readonly after?: Commit
  /** Whoever signs it instead. */
  readonly signer?: SigningKey
  readonly path?: string
}

/** A commit by hand, at a replica that knows what it cites. */
export const commitOf = async (
  database: Database,
  person: Person,
  draws: Stream,
  change: CommitChange = {},
): Promise<Commit> => {
  const { after, path = board } = change
  const { network } = database
  const { position: root } = database.root
  if (network === undefined || root === null) throw new Error('the replica belongs to no network')
  const header: Header = {
    network,
    repository: path,
    session: person.session,
    incarnation: after?.incarnation ?? toHex(draws.bytes(8)),
    seq: after === undefined ? 0 : after.seq + 1,
    prev: after?.id ?? null,
    clock: after === undefined ? database.runtime.now() * 256 : after.clock + 1,
    policy: { root, authority: database.repository(path).pipeline.position },
    atomic: false,
    extended: false,
    ...change.header,
  }
  const drafts = (change.drafts ?? [change.draft ?? {}]).map(
    (draft): Draft => ({
      key: toHex(draws.bytes(12)),
      parents: [],
      schema: cardName,
      operations: [{ kind: 'assign', field: 'title', value: 'written' }],
      salt: draws.bytes(12),
      ...draft,
    }),
  )
  const unsigned = composeCommit(header, drafts, hash)
  return sealCommit(unsigned, await (change.signer ?? person.key).sign(signedBytes(unsigned.id)))
}

export interface TargetOptions extends Partial<Omit<DatabaseOptions, 'authority'>> {
  readonly signatures?: 'real' | 'fast'
  /** Files and authority of another target, whose network this replica belongs to without being its authority. */
  readonly of?: Target
}

export class Target {
  readonly database: Database
  readonly draws: Stream
  readonly runtime: Runtime
  readonly files: Files
  readonly authority: SigningKey
  readonly incidents: Incident[] = []
  readonly signatures: Signatures
  /** ms since 1970, on the device. */
  time = 1_800_000_000_000
  #people = 0

  private constructor(seed: string, options: TargetOptions, files: Files) {
    const { signatures = 'real', of, ...rest } = options
    this.draws = stream(seed, 'target')
    this.signatures = of?.signatures ?? new Signatures(signatures, this.draws.branch('signatures'))
    this.authority = of?.authority ?? this.signatures.generate(this.draws.branch('authority'))
    this.files = files
    const random = this.draws.branch('random')
    const node = nodeRuntime()
    this.runtime = {
      ...node,
      now: () => this.time,
      random: (length) => random.bytes(length),
      generateKey: async () => this.signatures.generate(random),
      verify: async (key, message, signature) =>
        this.signatures.mode === 'fast'
          ? this.signatures.verify(key, message, signature)
          : node.verify(key, message, signature),
    }
    this.database = new Database({
      schemas: [Card],
      runtime: this.runtime,
      storage: async () => ({ files, keys: memoryKeys(), mode: 'memory', lasting: true }),
      ...(of === undefined ? { authority: this.authority } : {}),
      ...rest,
    })
    this.database.onIncident((incident) => this.incidents.push(incident))
  }

  static async open(seed: string, options: TargetOptions = {}): Promise<Target> {
    const files = memoryFiles()
    if (options.of !== undefined) await copyRoot(options.of, files)
    const target = new Target(seed, options, files)
    await target.database.opened
    await target.repository().ready
    return target
  }

  repository(path = board): Repository {
    return this.database.repository(path)
  }

  get network(): string {
    const { network } = this.database
    if (network === undefined) throw new Error('the target belongs to no network')
    return network
  }

  key(): SigningKey {
    return this.signatures.generate(this.draws.branch(`key ${this.#people++}`))
  }

  /** A certificate as the authority would give it, but for the changes. */
  async certify(
    publicKey: Uint8Array,
    change: Partial<CertificateBody> = {},
    signer = this.authority,
  ): Promise<Certificate> {
    const body = encodeCertificate({
      network: this.network,
      publicKey,
      owner: `person:${toHex(hash(publicKey)).slice(0, 8)}`,
      name: 'Somebody',
      issued: this.time,
      expires: this.time + limits.certificateLife,
      // Drawn from so many that none is given twice.
      number: 1 + Number.parseInt(toHex(this.draws.bytes(16)).slice(0, 12), 16),
      signer: toHex(hash(this.authority.publicKey)),
      ...change,
    })
    const signature = await signer.sign(messageOf('certificate', body, hash))
    const sealed = sealBody(body, signature, hash)
    const certificate = readCertificate(sealed.bytes, hash)
    // What nobody can read is offered all the same, as bytes.
    return isRefusal(certificate) ? { ...sealed, ...unread, publicKey, session: toHex(hash(publicKey)) } : certificate
  }

  async person(change: Partial<CertificateBody> = {}, key = this.key()): Promise<Person> {
    const certificate = await this.certify(key.publicKey, change)
    return { key, certificate, session: certificate.session }
  }

  /** A right commit that creates a card with a title, unless changed. */
  commit(person: Person, change: CommitChange = {}): Promise<Commit> {
    return commitOf(this.database, person, this.draws, change)
  }

  /** Gives the replica what a channel would, and says what it refused, in order. What it admitted is in its log afterwards. */
  async offer(
    commits: readonly (Commit | Uint8Array)[],
    certificates: readonly (Certificate | Uint8Array)[] = [],
    { entries = [], path = board }: { entries?: readonly Uint8Array[]; path?: string } = {},
  ): Promise<readonly Code[]> {
    const from = this.incidents.length
    const bytesOf = (one: { bytes: Uint8Array } | Uint8Array): Uint8Array =>
      one instanceof Uint8Array ? one : one.bytes
    await this.repository(path).pipeline.receive(
      {},
      { certificates: certificates.map(bytesOf), commits: commits.map(bytesOf), entries },
    )
    const codes = this.incidents.slice(from).map(({ code }) => code)
    this.incidents.length = from
    return codes
  }

  has(commit: Commit, path = board): boolean {
    return this.repository(path).pipeline.commits.has(commit.id)
  }

  /** How many commits are stored or wait for their parents. */
  held(path = board): number {
    const { commits, pending } = this.repository(path).pipeline
    return commits.size + pending.commits
  }

  close(): Promise<void> {
    return this.database.close()
  }
}

const unread = { network: '', owner: '', name: '', issued: 0, expires: 0, number: 0, signer: '' }

/** The log of the network, so that a replica that never connects belongs to it. */
const copyRoot = async (of: Target, files: Files): Promise<void> => {
  const { logName } = await import('@weft-db/engine')
  const { rootPath } = await import('../../packages/engine/src/trust/entry.ts')
  const name = logName(rootPath, of.runtime)
  const from = await of.files.open(name, false)
  const to = await files.open(name, true)
  if (from === undefined || to === undefined) throw new Error('the other target has no root log')
  await to.write(0, await from.read(0, await from.size()))
  await to.close()
}
