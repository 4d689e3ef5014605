/**
 * Brings back the history of items that this replica dropped, where something was made beside it: an edit of somebody who was away for longer than the
 * offline window, or an erasure. It is asked of those who have the repository open with this one, the authority first.
 *
 * Whoever answers need not be trusted: the last dropped commit of an item is known by its id, that names the ones before by theirs, and so on to
 * the first. What is not named so is not taken.
 */
import { limits } from '../bytes/limits.ts'
import { type Refusal, refusal, WeftError } from '../bytes/refusal.ts'
import type { Commit } from '../commit/commit.ts'
import type { Held } from '../sync/held.ts'
import type { ItemName } from '../sync/recall.ts'
import type { Counting } from './counting.ts'

/** Whoever can be asked, by a channel. */
export interface Recaller {
  readonly isOfAuthority: boolean
  /** Asks for the history of these; `Recall.answered` is told what came of it. */
  recall(items: readonly ItemName[]): void
}

export interface RecallParts {
  /** A commit that is here with its content. */
  commit(id: string): Commit | undefined
  /** Whether the authority erased the change of that item. */
  isErased(commit: string, key: string): boolean
  /** The last dropped change of the item; undefined where none was dropped. */
  last(item: ItemName): string | undefined
  /** All that was dropped of the item is here: it is to be counted. */
  adopt(item: ItemName, history: readonly Commit[]): void
  incident(why: Refusal): void
  timer(ms: number, run: () => void): () => void
}

/** Until somebody who could not answer is asked again, ms, and twice that the next time, up to the most. */
const firstRetry = 5_000
const lastRetry = 300_000
/** Without anything of the answer, ms. */
const patience = 15_000

interface Waiter {
  resolve(): void
  reject(error: WeftError): void
}

const nameOf = ({ schema, key }: ItemName): string => `${schema} ${key}`

export class Recall {
  readonly #of: RecallParts
  readonly #wanted = new Map<string, ItemName>()
  /** Of those, what is on its way to the log. */
  readonly #arrived = new Set<string>()
  /** Whoever can be asked, and what they were asked for. */
  readonly #recallers = new Map<Recaller, Set<string>>()
  /** Who is to answer, and for what. */
  #asked: { readonly recaller: Recaller; readonly items: readonly ItemName[] } | undefined
  readonly #waiters = new Map<string, Waiter[]>()
  readonly #collected = new Map<string, Commit>()
  #bytes = 0

  constructor(of: RecallParts) {
    this.#of = of
  }

  /** Items whose history is wanted and not here. */
  get wanted(): Iterable<ItemName> {
    return this.#wanted.values()
  }

  /** Something was made beside what was dropped of the item. */
  want(item: ItemName): void {
    if (this.#wanted.has(nameOf(item)) || this.#of.last(item) === undefined) return
    this.#of.incident(refusal('HistoryDropped', item.key))
    this.#want(item)
  }

  #want(item: ItemName): void {
    this.#wanted.set(nameOf(item), item)
    this.#ask()
  }

  /**
   * Resolves when nothing of the item is dropped any more. Rejects with `Unreachable` while there is nobody to ask, and with `HistoryDropped` when
   * nobody who is there has it.
   */
  bring(item: ItemName): Promise<void> {
    if (this.#of.last(item) === undefined) return Promise.resolve()
    if (this.#recallers.size === 0) return Promise.reject(new WeftError('Unreachable', 'recall'))
    return new Promise((resolve, reject) => {
      const waiters = this.#waiters.get(nameOf(item)) ?? []
      this.#waiters.set(nameOf(item), [...waiters, { resolve, reject }])
      if (this.#wanted.has(nameOf(item))) this.#ask()
      else this.#want(item)
    })
  }

  /** The repository is open with this one as well. */
  join(recaller: Recaller): void {
    this.#recallers.set(recaller, new Set())
    if (recaller.isOfAuthority && this.#asked?.recaller.isOfAuthority === false) this.#end()
    else this.#ask()
  }

  leave(recaller: Recaller): void {
    this.#recallers.delete(recaller)
    if (this.#asked?.recaller === recaller) this.#end()
  }

  #ask(): void {
    if (this.#asked !== undefined || this.#wanted.size === 0) return
    const ranked = [...this.#recallers].sort(([a], [b]) => Number(b.isOfAuthority) - Number(a.isOfAuthority))
    for (const [recaller, before] of ranked) {
      const items = [...this.#wanted]
        .filter(([name]) => !before.has(name) && !this.#arrived.has(name))
        .map(([, item]) => item)
      if (items.length === 0) continue
      const some = items.slice(0, limits.recallItems)
      for (const item of some) before.add(nameOf(item))
      this.#asked = { recaller, items: some }
      this.#await()
      recaller.recall(some)
      return
    }
    const why = this.#recallers.size === 0 ? 'Unreachable' : 'HistoryDropped'
    for (const [name, waiters] of this.#waiters) {
      if (this.#arrived.has(name)) continue
      this.#waiters.delete(name)
      for (const { reject } of waiters) reject(new WeftError(why, name))
    }
    if (this.#recallers.size > 0) this.#askLater()
  }

  #giveUp: (() => void) | undefined

  /** Whoever says nothing for that long keeps nobody from being asked. */
  #await(): void {
    const collected = this.#bytes
    this.#giveUp = this.#of.timer(patience, () => {
      if (this.#bytes > collected) this.#await()
      else this.#end()
    })
  }

  #cancel: (() => void) | undefined
  #retry = firstRetry

  #askLater(): void {
    if (this.#cancel !== undefined || this.#arrived.size === this.#wanted.size) return
    this.#cancel = this.#of.timer(this.#retry, () => {
      this.#cancel = undefined
      this.#retry = Math.min(2 * this.#retry, lastRetry)
      for (const before of this.#recallers.values()) before.clear()
      this.#ask()
    })
  }

  close(): void {
    this.#cancel?.()
    this.#giveUp?.()
    for (const waiters of this.#waiters.values())
      for (const { reject } of waiters) reject(new WeftError('Closed', 'recall'))
    this.#waiters.clear()
  }

  /** A commit came that stands where its chain lost others. Anybody can leave a content out: only the authority erases. */
  collect(origin: object, commit: Commit): void {
    if (this.#asked?.recaller !== origin || this.#collected.has(commit.id)) return
    if (commit.changes.some(({ erased, key }) => erased && !this.#of.isErased(commit.id, key))) return
    this.#bytes += commit.bytes.length
    if (this.#bytes > limits.recalledBytes) {
      this.#of.incident(refusal('TooLarge', 'history that was asked for'))
      return this.#end()
    }
    this.#collected.set(commit.id, commit)
  }

  /** All that it has was collected. */
  answered(recaller: Recaller): void {
    if (this.#asked?.recaller !== recaller) return
    for (const item of this.#asked.items) {
      const history = this.#historyOf(item)
      if (history === undefined) continue
      this.#arrived.add(nameOf(item))
      this.#of.adopt(item, history)
    }
    this.#end()
  }

  /** It is counted. */
  done(item: ItemName): void {
    this.#arrived.delete(nameOf(item))
    this.#wanted.delete(nameOf(item))
    this.#retry = firstRetry
    for (const { resolve } of this.#waiters.get(nameOf(item)) ?? []) resolve()
    this.#waiters.delete(nameOf(item))
  }

  #end(): void {
    this.#giveUp?.()
    this.#asked = undefined
    this.#collected.clear()
    this.#bytes = 0
    this.#ask()
  }

  #historyOf(item: ItemName): readonly Commit[] | undefined {
    return historyUpTo(this.#of.last(item), item, (id) => this.#collected.get(id) ?? this.#of.commit(id))
  }
}

/** All changes of the item up to that one, as commits, each after those it builds on; undefined where one is missing. */
export const historyUpTo = (
  last: string | undefined,
  { schema, key }: ItemName,
  commitOf: (id: string) => Commit | undefined,
): readonly Commit[] | undefined => {
  if (last === undefined) return undefined
  const history = new Map<string, Commit>()
  for (const open = [last]; open.length > 0; ) {
    const id = open.pop()
    if (id === undefined || history.has(id)) continue
    const commit = commitOf(id)
    const change = commit?.changes.find((one) => one.key === key && one.schema.hash === schema)
    if (commit === undefined || change === undefined) return undefined
    history.set(id, commit)
    open.push(...change.parents)
  }
  // A clock is later than those of the parents.
  return [...history.values()].sort((a, b) => a.clock - b.clock)
}

/** All commits of the items, as they were admitted; undefined where some of them were dropped here, or are not known. */
export const historyOf = (
  items: readonly ItemName[],
  { counting, recovering }: { readonly counting: Pick<Counting, 'item'>; readonly recovering: boolean },
  held: Pick<Held, 'arrivalIndex'>,
): readonly string[] | undefined => {
  const ids = new Set<string>()
  for (const { schema, key } of items) {
    const item = counting.item(key, schema)
    if (recovering || item === undefined || item.dropped > 0) return undefined
    for (const { id } of item.graph.nodes) ids.add(id)
  }
  return [...ids].sort((a, b) => held.arrivalIndex(a) - held.arrivalIndex(b))
}
