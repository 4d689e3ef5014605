/**
 * A history made by hand: people with certificates and roles, commits that cite whatever they like within the rules of admission, forks, and
 * an authority that writes checkpoints, grants, revocations, verdicts and rule versions in between. Drawn from a seed; everything is signed.
 */
import { hash as digest } from 'node:crypto'
import { type Commit, isRefusal, type SigningKey } from '@weft-db/engine'
import { toHex } from '../../packages/engine/src/bytes/bytes.ts'
import {
  composeCommit,
  type Draft,
  type Position,
  readCommit,
  sealCommit,
  signedBytes,
} from '../../packages/engine/src/commit/commit.ts'
import type { Operation } from '../../packages/engine/src/commit/operation.ts'
import type { Head } from '../../packages/engine/src/graph/commits.ts'
import { headsRoot } from '../../packages/engine/src/trust/authoritylog.ts'
import { type Certificate, encodeCertificate, readCertificate } from '../../packages/engine/src/trust/certificate.ts'
import {
  type Entry,
  type EntryBody,
  encodeEntry,
  noNetwork,
  readEntry,
  rootPath,
  type Statement,
} from '../../packages/engine/src/trust/entry.ts'
import { messageOf, sealBody } from '../../packages/engine/src/trust/signed.ts'
import { Stream } from './random.ts'
import { sha256 } from './shelf.ts'
import { Signatures } from './signatures.ts'
import { boardPath, Card } from './worlds/card.ts'
import { ballotOf } from './worlds/charter.ts'

export const began = 1_700_000_000_000
const clockTicks = 256

export interface Author {
  readonly key: SigningKey
  readonly certificate: Certificate
}

/** How often what happens, as weights. */
export interface Temper {
  readonly checkpoint: number
  readonly grant: number
  readonly revoke: number
  readonly rules: number
  readonly verdict: number
  readonly commit: number
  /** Chance that a commit forks its chain. */
  readonly fork: number
  readonly steps: number
}

export const usualTemper: Temper = {
  checkpoint: 16,
  grant: 16,
  revoke: 5,
  rules: 3,
  verdict: 4,
  commit: 60,
  fork: 0.12,
  steps: 36,
}

const must = <Value extends object>(
  value: Value,
): Exclude<Value, { readonly code: string; readonly about: string }> => {
  if (isRefusal(value)) throw new Error(`${value.code} ${value.about}`)
  // What is no refusal is what was asked for.
  return value as Exclude<Value, { readonly code: string; readonly about: string }>
}

const positionOf = (entry: Entry): Position => ({ epoch: entry.epoch, n: entry.n, hash: entry.id })
const cardHash = digest('sha256', Card.definition)
const roles = ['owner', 'owner', 'editor', 'editor', 'viewer', null] as const
const keys = ['k0', 'k1', 'k2']

export class Chronicle {
  readonly commits: Commit[] = []
  readonly root: Entry[] = []
  readonly log: Entry[] = []
  readonly authors: Author[] = []
  readonly signatures: Signatures
  readonly authority: SigningKey
  readonly #stream: Stream
  readonly #temper: Temper
  readonly #covered = new Map<string, Head>()
  #serial = 0

  private constructor(seed: string, temper: Temper) {
    this.#stream = new Stream(seed, 'chronicle')
    this.#temper = temper
    this.signatures = new Signatures('fast', this.#stream.branch('signatures'))
    this.authority = this.signatures.generate(this.#stream.branch('authority'))
  }

  static async of(seed: string, temper: Temper = usualTemper): Promise<Chronicle> {
    const made = new Chronicle(seed, temper)
    await made.#open()
    for (let step = 0; step < temper.steps; step++) await made.#step()
    // The authority leaves nothing undecided.
    const last = made.root.at(-1)
    if (last !== undefined && (made.log.at(-1)?.root?.n ?? -1) < last.n) await made.#checkpoint(positionOf(last))
    return made
  }

  ownerOf(session: string): string | undefined {
    return this.authors.find(({ certificate }) => certificate.session === session)?.certificate.owner
  }

  async #open(): Promise<void> {
    const { publicKey } = this.authority
    const name = this.#stream.bytes(16)
    this.root.push(
      await this.#entry({ log: rootPath, network: noNetwork, root: null }, { kind: 'genesis', publicKey, name }),
    )
    const keysOf = this.#stream.branch('keys')
    const founders = this.#stream.chance(0.3) ? ['founder:ann', 'founder:fay'] : ['founder:ann']
    for (const owner of [...founders, 'member:bob', 'member:bob', 'member:cai', 'member:dee', 'member:eve'])
      await this.#certify(owner, this.signatures.generate(keysOf))
    for (let early = this.#stream.int(4); early > 0; early--) await this.#commit()
    const founding = this.#stream.chance(0.9)
    const owner = this.#stream.pick(founders)
    await this.#write({ kind: 'grant', owner, role: 'owner', by: null, fences: false, founding })
    for (const member of ['member:bob', 'member:cai', 'member:dee'])
      await this.#write({
        kind: 'grant',
        owner: member,
        role: this.#stream.pick(['owner', 'editor', 'editor', 'viewer']),
        by: owner,
        fences: false,
        founding: false,
      })
  }

  async #certify(owner: string, key: SigningKey): Promise<void> {
    const body = encodeCertificate({
      network: this.#network,
      publicKey: key.publicKey,
      owner,
      name: owner,
      issued: began - 1_000,
      expires: began + 1_000_000_000,
      number: this.authors.length + 1,
      signer: toHex(sha256(this.authority.publicKey)),
    })
    const signature = await this.authority.sign(messageOf('certificate', body, sha256))
    this.authors.push({ key, certificate: must(readCertificate(sealBody(body, signature, sha256).bytes, sha256)) })
  }

  get #network(): string {
    return this.root[0]?.id ?? noNetwork
  }

  async #entry(where: Pick<EntryBody, 'log' | 'network' | 'root'>, statement: Statement): Promise<Entry> {
    const log = where.log === rootPath ? this.root : this.log
    const body = encodeEntry({
      ...where,
      epoch: 0,
      n: log.length,
      prev: log.at(-1)?.id ?? null,
      time: began + ++this.#serial,
      signer: toHex(sha256(this.authority.publicKey)),
      statement,
    })
    const signature = await this.authority.sign(messageOf('entry', body, sha256))
    return must(readEntry(sealBody(body, signature, sha256).bytes, sha256))
  }

  async #write(statement: Statement, knows?: Position): Promise<void> {
    const least = this.log.at(-1)?.root?.n ?? 0
    const at = this.#stream.chance(0.7) ? this.root.length - 1 : least + this.#stream.int(this.root.length - least)
    const root = this.root[at]
    if (root === undefined) throw new Error('there is no genesis')
    const where = { log: boardPath, network: this.#network, root: knows ?? positionOf(root) }
    this.log.push(await this.#entry(where, statement))
  }

  async #writeRoot(statement: Statement): Promise<void> {
    this.root.push(await this.#entry({ log: rootPath, network: this.#network, root: null }, statement))
  }

  async #step(): Promise<void> {
    const { checkpoint, grant, revoke, rules, verdict, commit } = this.#temper
    const acts = [
      [commit, () => this.#commit()],
      [checkpoint, () => this.#checkpoint()],
      [grant, () => this.#grant()],
      [revoke, () => this.#revoke()],
      [rules, () => this.#rules()],
      [verdict, () => this.#verdict()],
    ] as const
    let drawn = this.#stream.unit() * acts.reduce((sum, [weight]) => sum + weight, 0)
    for (const [weight, act] of acts) {
      drawn -= weight
      if (drawn < 0) return act()
    }
  }

  async #grant(): Promise<void> {
    const { owner } = this.#stream.pick(this.authors).certificate
    const fences = this.#stream.chance(0.6)
    await this.#write({ kind: 'grant', owner, role: this.#stream.pick(roles), by: null, fences, founding: false })
  }

  async #revoke(): Promise<void> {
    const { session, owner } = this.#stream.pick(this.authors).certificate
    await this.#writeRoot({
      kind: 'revocation',
      subject: this.#stream.chance(0.6) ? { session } : { owner },
      reason: 'lost',
    })
    if (this.#stream.chance(0.5)) await this.#checkpoint()
  }

  async #rules(): Promise<void> {
    await this.#writeRoot({ kind: 'rules', version: this.#stream.chance(0.9) ? 1 : 2 })
  }

  async #verdict(): Promise<void> {
    if (this.commits.length === 0) return
    const commit = this.#stream.pick(this.commits)
    const covered = this.#covered.get(commit.chain)
    if (covered !== undefined && this.#isBefore(commit.id, commit.seq, covered.id)) return
    const [change] = commit.changes
    const key = this.#stream.chance(0.5) ? null : (change?.key ?? null)
    await this.#write({ kind: 'verdict', commit: commit.id, key, code: 'Voided', rule: '/', reason: 'no' })
  }

  #get(id: string): Commit | undefined {
    return this.commits.find((one) => one.id === id)
  }

  /** Whether the commit of that id and number is `late` or before it in the chain. */
  #isBefore(id: string, seq: number, late: string): boolean {
    let at = this.#get(late)
    while (at !== undefined && at.seq > seq && at.prev !== null) at = this.#get(at.prev)
    return at?.id === id
  }

  async #checkpoint(knows?: Position): Promise<void> {
    const share = this.#stream.pick([0.3, 0.7, 1])
    const moved: Head[] = []
    for (const chain of new Set(this.commits.map((one) => one.chain))) {
      const covered = this.#covered.get(chain)
      const further = this.commits.filter(
        (one) =>
          one.chain === chain &&
          (covered === undefined || (one.seq > covered.seq && this.#isBefore(covered.id, covered.seq, one.id))),
      )
      if (further.length === 0 || !this.#stream.chance(share)) continue
      const { seq, id } = this.#stream.chance(0.7)
        ? further.reduce((a, b) => (b.seq > a.seq ? b : a))
        : this.#stream.pick(further)
      moved.push({ chain, seq, id })
    }
    for (const head of moved) this.#covered.set(head.chain, head)
    const root = headsRoot(this.#covered.values(), sha256)
    await this.#write({ kind: 'checkpoint', headsRoot: root, stateRoot: null, moved }, knows)
  }

  async #commit(): Promise<void> {
    const stream = this.#stream
    const { key, certificate } = stream.pick(this.authors)
    const own = this.commits.filter(({ session }) => session === certificate.session)
    const chains = [...new Set(own.map(({ incarnation }) => incarnation))]
    const opens = chains.length === 0 || stream.chance(0.12)
    const incarnation = opens ? toHex(stream.bytes(8)) : stream.pick(chains)
    const links = own.filter((one) => one.incarnation === incarnation)
    const tips = links.filter(({ id }) => !links.some(({ prev }) => prev === id))
    const forks = stream.chance(this.#temper.fork)
    const prev = opens ? undefined : forks ? stream.pick([undefined, ...links]) : stream.pick(tips)
    const drafts: Draft[] = []
    const before: Commit[] = prev === undefined ? [] : [prev]
    for (const item of stream.shuffle(keys).slice(0, stream.pick([1, 1, 1, 2]))) {
      const touching = this.commits.filter(({ changes }) => changes.some((change) => change.key === item))
      const heads = touching.filter(
        ({ id }) =>
          !touching.some(({ changes }) => changes.some((change) => change.key === item && change.parents.includes(id))),
      )
      const some = stream.chance(0.7) ? heads : stream.shuffle(touching).slice(0, 2)
      const parents = stream.chance(0.9) ? some.slice(0, 8) : []
      before.push(...parents)
      drafts.push({
        key: item,
        parents: [...new Set(parents.map(({ id }) => id))].sort(),
        schema: { name: Card.name, version: Card.version, hash: cardHash },
        operations: this.#operations(certificate.owner, parents, item),
        salt: stream.bytes(12),
      })
    }
    const later = stream.chance(0.8) ? began * clockTicks + 256 * this.commits.length : 0
    const header = {
      network: this.#network,
      repository: boardPath,
      session: certificate.session,
      incarnation,
      seq: prev === undefined ? 0 : prev.seq + 1,
      prev: prev?.id ?? null,
      clock: Math.max(began * clockTicks, later, ...before.map(({ clock }) => clock + 1)),
      policy: this.#policy(before),
      atomic: drafts.length > 1 && stream.chance(0.5),
      extended: false,
    }
    const unsigned = composeCommit(header, drafts, sha256)
    const sealed = sealCommit(unsigned, await key.sign(signedBytes(unsigned.id)))
    this.commits.push(must(readCommit(sealed.bytes, sha256)))
  }

  #policy(before: readonly Commit[]): Commit['policy'] {
    const stream = this.#stream
    const floor = (place: (commit: Commit) => number): number => Math.max(-1, ...before.map(place))
    const between = (least: number, most: number): number =>
      stream.chance(0.7) ? most : least + stream.int(Math.max(1, most - least + 1))
    const rootAt = between(
      Math.max(
        0,
        floor(({ policy }) => policy.root.n),
      ),
      this.root.length - 1,
    )
    const logAt = between(
      floor(({ policy }) => policy.authority?.n ?? -1),
      this.log.length - 1,
    )
    const [root, authority] = [this.root[rootAt], this.log[logAt]]
    if (root === undefined) throw new Error('there is no genesis')
    return { root: positionOf(root), authority: authority === undefined ? null : positionOf(authority) }
  }

  #operations(owner: string, parents: readonly Commit[], item: string): Operation[] {
    const stream = this.#stream
    const tags = (kind: 'add' | 'put'): string[] =>
      parents.flatMap(({ id, changes }) =>
        changes
          .filter(({ key }) => key === item)
          .flatMap(({ operations }) => operations.flatMap((one, at) => (one.kind === kind ? [`${id}:${at}`] : []))),
      )
    const one = (): Operation => {
      const kind = stream.int(15)
      const insert = stream.pick(['a', 'bc', 'def'])
      if (kind < 4) return { kind: 'splice', field: 'notes', at: 0, remove: 0, length: insert.length, insert }
      if (kind === 4) {
        const [at, remove] = [stream.int(4), stream.int(3)]
        return { kind: 'splice', field: 'notes', at, remove, length: insert.length, insert }
      }
      if (kind === 5)
        return {
          kind: 'assign',
          field: 'title',
          value: stream.chance(0.15) ? stream.pick(['closed it', '¡odd']) : stream.pick(['one', 'two', 'three']),
        }
      if (kind === 6 && stream.chance(0.4))
        return { kind: 'assign', field: 'points', value: stream.pick([1, 2, 3, 0.5]) }
      if (kind === 7) return { kind: 'assign', field: 'done', value: stream.chance(0.5) }
      if (kind < 10)
        return { kind: 'put', field: 'votes', entry: [stream.pick([ballotOf(owner), 'v:other']), stream.int(9)] }
      if (kind === 10) return { kind: 'add', field: 'tags', value: stream.pick(['x', 'y', 'z']) }
      const [added, put] = [tags('add'), tags('put')]
      if (kind === 11 && added.length > 0) return { kind: 'remove', field: 'tags', tags: [stream.pick(added)] }
      if (kind === 12 && put.length > 0) return { kind: 'drop', field: 'votes', tags: [stream.pick(put)] }
      return kind === 13 ? { kind: 'delete' } : { kind: 'touch' }
    }
    if (parents.length === 0 && stream.chance(0.8))
      return [{ kind: 'touch' }, { kind: 'splice', field: 'notes', at: 0, remove: 0, length: 3, insert: 'new' }]
    return Array.from({ length: stream.pick([1, 1, 2]) }, one)
  }
}
