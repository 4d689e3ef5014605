/**
 * What becomes of every change, found by somebody who knows everything and takes all the time: from all commits ever made and the
 * authority's logs as they are in the end, by DESIGN.md sections 4 and 5, with nothing of the engine's own judgement. A change is held
 * (something that it names never came), refused for ever (by the rules, or it cannot be applied to what its author saw), dead from a
 * position of the repository's log on (voided, fenced off, revoked, not the founder's, on a branch that lost), or it counts.
 */
import type { Commit } from '@weft-db/engine'
import type { Operation } from '../../packages/engine/src/commit/operation.ts'
import type { Values } from '../../packages/engine/src/merge/values.ts'
import type { Entry } from '../../packages/engine/src/trust/entry.ts'
import {
  type CardValue,
  changesOf,
  elementsOf,
  entriesOf,
  isPresent,
  itemValue,
  type Judged,
  keysOf,
  now,
  type Put,
  registerOf,
  shownOf,
  textOf,
} from './oracle.ts'
import { Card } from './worlds/card.ts'
import { allows, foundingRole } from './worlds/charter.ts'

export type Fate =
  | 'counts'
  | 'held'
  | 'refused'
  | 'inapplicable'
  | 'founding'
  | 'fence'
  | 'revoked'
  | 'branch'
  | 'verdict'

export interface Known {
  readonly commits: readonly Commit[]
  readonly root: readonly Entry[]
  readonly log: readonly Entry[]
  ownerOf(session: string): string | undefined
  /** The newest version of the rules that replicas have. */
  readonly newestRules: number
}

export interface Fates {
  /** By commit id, then item key. */
  readonly of: ReadonlyMap<string, ReadonlyMap<string, Fate>>
  readonly values: ReadonlyMap<string, CardValue>
}

interface Death {
  readonly from: number
  readonly why: Fate
}

/** Facts about commits and logs, each looked up anew. */
class Archive {
  readonly #known: Known
  readonly #byId: ReadonlyMap<string, Commit>

  constructor(known: Known) {
    this.#known = known
    this.#byId = new Map(known.commits.map((commit) => [commit.id, commit]))
  }

  get(id: string): Commit | undefined {
    return this.#byId.get(id)
  }

  owner(commit: Commit): string {
    return this.#known.ownerOf(commit.session) ?? ''
  }

  /** Whether one is the other or before it in its chain. */
  leadsTo(early: Commit, late: Commit): boolean {
    let at: Commit | undefined = late
    while (at !== undefined && at.seq > early.seq && at.prev !== null) at = this.get(at.prev)
    return at?.id === early.id
  }

  /** Where checkpoints moved the chain, and to which commit. */
  *coverings(chain: string): Generator<{ readonly n: number; readonly head: Commit }> {
    for (const { n, statement } of this.#known.log) {
      if (statement.kind !== 'checkpoint') continue
      for (const moved of statement.moved) {
        const head = this.get(moved.id)
        if (moved.chain === chain && head !== undefined) yield { n, head }
      }
    }
  }

  coveredAt(commit: Commit): number {
    for (const { n, head } of this.coverings(commit.chain)) if (this.leadsTo(commit, head)) return n
    return now
  }

  /** The root position that ended the access of its session or owner. */
  revokedAt(commit: Commit): number {
    for (const { n, statement } of this.#known.root) {
      if (statement.kind !== 'revocation') continue
      const { subject } = statement
      if ('session' in subject ? subject.session === commit.session : subject.owner === this.owner(commit)) return n
    }
    return now
  }

  rulesAt(n: number): number {
    let version = 0
    for (const entry of this.#known.root) {
      if (entry.n <= n && entry.statement.kind === 'rules') version = entry.statement.version
    }
    return version
  }

  /** The first entry that knows the root log up to there. */
  knowing(n: number): number {
    return this.#known.log.find(({ root }) => root !== null && root.n >= n)?.n ?? now
  }

  isHeld(commit: Commit): boolean {
    const { root, authority } = commit.policy
    if (this.#known.root[root.n]?.id !== root.hash) return true
    if (authority !== null && this.#known.log[authority.n]?.id !== authority.hash) return true
    if (this.rulesAt(root.n) > this.#known.newestRules) return true
    const revoked = this.revokedAt(commit)
    return revoked !== now && root.n < revoked && this.knowing(revoked) === now && this.coveredAt(commit) === now
  }

  roleOf(commit: Commit): string | undefined {
    const owner = this.owner(commit)
    const { authority } = commit.policy
    if (authority === null) return foundingRole(owner)
    let role: string | undefined
    for (const { n, statement } of this.#known.log) {
      if (n <= authority.n && statement.kind === 'grant' && statement.owner === owner)
        role = statement.role ?? undefined
    }
    return role
  }

  /** The first thing that ends it, for a change of one of these items. */
  deathOf(commit: Commit, keys: readonly string[]): Death | undefined {
    const deaths: Death[] = []
    const cited = commit.policy.authority?.n ?? -1
    const owner = this.owner(commit)
    const covered = this.coveredAt(commit)
    for (const { n, statement } of this.#known.log) {
      if (statement.kind === 'verdict' && statement.commit === commit.id) {
        if (statement.key === null || keys.includes(statement.key)) deaths.push({ from: n, why: 'verdict' })
      }
      if (statement.kind !== 'grant') continue
      if (statement.founding && cited < 0 && statement.owner !== owner) deaths.push({ from: n, why: 'founding' })
      if (statement.fences && statement.owner === owner && cited < n && covered >= n)
        deaths.push({ from: n, why: 'fence' })
    }
    for (const { n, head } of this.coverings(commit.chain)) {
      if (!this.leadsTo(head, commit) && !this.leadsTo(commit, head)) deaths.push({ from: n, why: 'branch' })
    }
    // One checkpoint may lose the branch and be the first to know that the access ended: the branch is the reason.
    const revoked = this.revokedAt(commit)
    const ended = revoked === now ? now : this.knowing(revoked)
    if (ended !== now && covered > ended) deaths.push({ from: ended, why: 'revoked' })
    return deaths.reduce<Death | undefined>(
      (first, one) => (first === undefined || one.from < first.from ? one : first),
      undefined,
    )
  }
}

const namesOf = (operations: readonly Operation[]): readonly string[] => [
  ...new Set(operations.flatMap((operation) => ('field' in operation ? [operation.field] : []))),
]

const takes: Readonly<Record<string, readonly Operation['kind'][]>> = {
  text: ['splice'],
  set: ['add', 'remove'],
  map: ['put', 'drop'],
}

const fitsSchema = (operation: Operation): boolean => {
  if (!('field' in operation)) return true
  if (!Card.names.includes(operation.field)) return false
  const field = Card.fields[operation.field as keyof typeof Card.fields]
  if (!(takes[field.kind] ?? ['assign']).includes(operation.kind)) return false
  return operation.kind !== 'assign' || operation.field !== 'points' || Number.isInteger(operation.value)
}

/** What its author saw of an item, field by field as it is asked for. */
class Sight {
  readonly #version: readonly Judged[]
  readonly #view: number

  constructor(version: readonly Judged[], view: number) {
    this.#version = version
    this.#view = view
  }

  get present(): boolean {
    return isPresent(this.#version, this.#view)
  }

  text(field: string): string {
    return textOf(field, this.#version, this.#view)
  }

  title(): unknown {
    return registerOf('title', this.#version, this.#view) ?? Card.fields.title.initial
  }

  puts(field: string): Put[] {
    return entriesOf(field, this.#version, this.#view)
  }

  tags(field: string): ReadonlySet<string> {
    return new Set(elementsOf(field, this.#version, this.#view).keys())
  }
}

const fitsText = (operations: readonly Operation[], sight: Sight): boolean => {
  const lengths = new Map<string, number>()
  for (const operation of operations) {
    if (operation.kind !== 'splice') continue
    const { field, at, remove, length } = operation
    const before = lengths.get(field) ?? sight.text(field).length
    if (at + remove > before) return false
    lengths.set(field, before - remove + length)
  }
  return true
}

const ignoredBy = (operations: readonly Operation[], sight: Sight): Set<string> => {
  const ignored = new Set<string>()
  for (const operation of operations) {
    if (operation.kind !== 'remove' && operation.kind !== 'drop') continue
    const held =
      operation.kind === 'remove'
        ? sight.tags(operation.field)
        : new Set(sight.puts(operation.field).map(({ tag }) => tag))
    for (const tag of operation.tags) if (!held.has(tag)) ignored.add(`${operation.field}/${tag}`)
  }
  return ignored
}

const votesAfter = (change: Judged, sight: Sight): Put[] => {
  let puts = sight.puts('votes')
  for (const [index, operation] of change.operations.entries()) {
    if (!('field' in operation) || operation.field !== 'votes') continue
    if (operation.kind === 'put' && operation.entry !== undefined) {
      const [key, value] = operation.entry
      puts = [...puts.filter((put) => put.key !== key), { key, value, tag: `${change.id}:${index}`, change }]
    } else if (operation.kind === 'drop') puts = puts.filter(({ tag }) => !operation.tags.includes(tag))
  }
  return puts
}

/** Values as a rule sees them, as far as the charter's look. */
const asValues = (present: boolean, title: () => unknown, votes: () => readonly Put[]): Values | null => {
  if (!present) return null
  return Object.defineProperties(Object.create(null), {
    title: { enumerable: true, get: title },
    votes: { enumerable: true, get: () => Object.fromEntries(shownOf(votes())) },
  }) as Values
}

const isAllowed = (archive: Archive, commit: Commit, change: Judged, sight: Sight): boolean => {
  const { operations } = change
  if (archive.revokedAt(commit) <= commit.policy.root.n) return false
  const deletes = operations.some(({ kind }) => kind === 'delete')
  const { present } = sight
  const stays = operations.length === 0 ? present : !deletes
  const asked = {
    owner: archive.owner(commit),
    role: archive.roleOf(commit),
    fields: namesOf(operations),
    before: asValues(
      present,
      () => sight.title(),
      () => sight.puts('votes'),
    ),
    after: asValues(
      stays,
      () => sight.title(),
      () => votesAfter(change, sight),
    ),
  }
  try {
    return allows(archive.rulesAt(commit.policy.root.n), asked) === true
  } catch {
    return false
  }
}

/** Commits with parents and the one before in the chain first. */
const inOrder = (commits: readonly Commit[]): Commit[] => {
  const done = new Set<string>()
  const order: Commit[] = []
  let left = [...commits].sort((a, b) => (a.id < b.id ? -1 : 1))
  while (left.length > 0) {
    const ready = left.filter(
      ({ prev, changes }) =>
        (prev === null || done.has(prev)) && changes.every(({ parents }) => parents.every((id) => done.has(id))),
    )
    if (ready.length === 0) throw new Error(`what ${left[0]?.id} builds on is missing`)
    for (const commit of ready) done.add(commit.id)
    order.push(...ready)
    left = left.filter(({ id }) => !done.has(id))
  }
  return order
}

export const fatesOf = (known: Known): Fates => {
  const archive = new Archive(known)
  const items = new Map(keysOf(known.commits).map((key) => [key, changesOf(key, known.commits)]))
  const fates = new Map<string, Map<string, Fate>>()
  const changeOf = (commit: Commit, key: string): Judged => {
    const found = items.get(key)?.find(({ id }) => id === commit.id)
    if (found === undefined) throw new Error(`no change of ${key} in ${commit.id}`)
    return found
  }
  for (const commit of inOrder(known.commits)) {
    const own = new Map<string, Fate>()
    const keys = commit.changes.map(({ key }) => key)
    const judged = keys.map((key): Fate => {
      const change = changeOf(commit, key)
      if (archive.isHeld(commit) || change.parents.some((id) => fates.get(id)?.get(key) === 'held')) return 'held'
      const version = (items.get(key) ?? []).filter(({ id }) => change.past.has(id))
      const sight = new Sight(version, change.seen)
      if (!change.operations.every(fitsSchema) || !fitsText(change.operations, sight)) return 'inapplicable'
      change.ignored = ignoredBy(change.operations, sight)
      return isAllowed(archive, commit, change, sight) ? 'counts' : 'refused'
    })
    const worst = judged.find((fate) => fate === 'held') ?? judged.find((fate) => fate !== 'counts')
    for (const [index, key] of keys.entries()) {
      const change = changeOf(commit, key)
      const fate = (commit.atomic ? worst : undefined) ?? judged[index] ?? 'counts'
      change.never = fate !== 'counts'
      const death = archive.deathOf(commit, commit.atomic ? keys : [key])
      change.from = death?.from ?? now
      own.set(key, fate === 'counts' ? (death?.why ?? 'counts') : fate)
    }
    fates.set(commit.id, own)
  }
  return { of: fates, values: new Map([...items].map(([key, changes]) => [key, itemValue(changes)])) }
}
