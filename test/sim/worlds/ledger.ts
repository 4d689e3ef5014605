/**
 * What the replicas of a world promised, kept outside of them: which commits a `saved` promise spoke of, at which level, and whether
 * it was kept; and marks, edits that must be seen on their replica until they stand in a commit.
 */
import { type Item, type LiveItem, liveOf, saved, WeftError } from '@weft-db/engine'
import type { Coverage } from '../coverage.ts'
import type { Card } from './card.ts'
import type { Player } from './player.ts'

type CardItem = Item<typeof Card>
type Level = 'local' | 'authority'

export interface Promised {
  readonly player: Player
  /** The process it was made in. */
  readonly run: number
  readonly live: LiveItem
  readonly level: Level
  /** Commit ids, once the edits are in commits. */
  ids: readonly string[] | undefined
  outcome: 'waiting' | 'kept' | 'refused'
}

interface Mark {
  readonly field: 'votes' | 'notes'
  readonly mark: string
}

interface Pending extends Mark {
  readonly player: Player
  readonly run: number
}

export interface Acknowledged {
  readonly node: string
  readonly level: Level
  readonly ids: readonly string[]
}

export class Ledger {
  readonly promised: Promised[] = []
  /** What was acknowledged and not yet looked at. */
  fresh: Acknowledged[] = []
  /** Commit ids acknowledged, by node. */
  readonly local = new Map<string, Set<string>>()
  readonly authority = new Set<string>()
  readonly #open = new Set<Promised>()
  readonly #marks = new Map<LiveItem, Pending[]>()
  readonly #coverage: Coverage

  constructor(coverage: Coverage) {
    this.#coverage = coverage
  }

  track(player: Player, item: CardItem, level: Level): void {
    const live = liveOf(item)
    const one: Promised = { player, run: player.run, live, level, ids: undefined, outcome: 'waiting' }
    this.promised.push(one)
    this.#open.add(one)
    this.#name(one)
    saved(item, level).then(
      () => {
        one.outcome = 'kept'
        this.#name(one)
        this.#open.delete(one)
        this.#coverage.saw(level === 'local' ? 'saved locally' : 'saved by the authority')
        const ids = one.ids ?? []
        this.#acknowledge(player.name, level, level === 'local' ? ids : ids.filter((id) => !isWrittenAgain(player, id)))
      },
      (error: unknown) => {
        if (!(error instanceof WeftError)) throw error
        one.outcome = 'refused'
        this.#open.delete(one)
        this.#coverage.saw('save refused with a reason')
      },
    )
  }

  #acknowledge(node: string, level: Level, ids: readonly string[]): void {
    this.fresh.push({ node, level, ids })
    const known = level === 'local' ? (this.local.get(node) ?? new Set<string>()) : this.authority
    if (level === 'local') this.local.set(node, known)
    for (const id of ids) known.add(id)
  }

  #name(one: Promised): void {
    if (one.ids !== undefined || !one.live.draft.isEmpty) return
    const { merged } = one.live
    one.ids = merged.liveHeads.map((head) => merged.graph.node(head).id)
  }

  /** After every event: promises whose edits are in commits now get the names of those. */
  note(): void {
    for (const one of this.#open) {
      if (one.player.run !== one.run || one.player.database === undefined) this.#open.delete(one)
      else this.#name(one)
    }
  }

  /** Promises of processes that still run, neither kept nor refused. */
  get waiting(): readonly Promised[] {
    return [...this.#open].filter(({ player, run }) => player.run === run && player.database !== undefined)
  }

  mark(player: Player, item: CardItem, mark: Mark): void {
    const live = liveOf(item)
    this.#marks.set(live, [...(this.#marks.get(live) ?? []), { ...mark, player, run: player.run }])
  }

  forgetMarks(item: CardItem): void {
    this.#marks.delete(liveOf(item))
  }

  forgetTextMarks(item: CardItem): void {
    const left = this.#marks.get(liveOf(item))?.filter(({ field }) => field !== 'notes')
    if (left !== undefined) this.#marks.set(liveOf(item), left)
  }

  /** The first mark that its author no longer sees though it stands in no commit; undefined when all do. */
  lostMark(): string | undefined {
    for (const [live, marks] of this.#marks) {
      const alive = marks.filter(({ player, run }) => player.run === run && player.database !== undefined)
      if (alive.length === 0) {
        this.#marks.delete(live)
        continue
      }
      for (const { field, mark, player } of alive) {
        const seen = field === 'votes' ? live.entries('votes').has(mark) : live.text('notes').toString().includes(mark)
        if (!seen) return `${player.name} no longer sees ${mark} in ${field} of ${live.key}`
      }
      if (live.draft.isEmpty) this.#marks.delete(live)
    }
    return undefined
  }
}

/** What a far clock stamped is voided, and written again where there is something left to write: the promise is about that. */
const isWrittenAgain = (player: Player, id: string): boolean =>
  player.board?.pipeline.log.entries.some(
    ({ statement }) => statement.kind === 'verdict' && statement.commit === id && statement.code === 'ClockAhead',
  ) ?? false
