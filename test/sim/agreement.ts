/**
 * What must hold when a world has come to rest (9 and 10 of `invariants.ts`): nobody waits for anything, all replicas hold the same
 * commits and entries, and show the same values, which are those of the oracle.
 */
import { type Commit, liveOf, problemsOf } from '@weft-db/engine'
import type { Coverage } from './coverage.ts'
import { type CardValue, valuesOf } from './oracle.ts'
import { boardLog, Card, isGuest } from './worlds/card.ts'
import type { Ledger } from './worlds/ledger.ts'
import type { Player } from './worlds/player.ts'

export class Agreement {
  readonly #players: ReadonlyMap<string, Player>
  readonly #ledger: Ledger
  readonly #coverage: Coverage
  readonly #owners = new Map<string, string>()

  constructor(players: ReadonlyMap<string, Player>, ledger: Ledger, coverage: Coverage) {
    this.#players = players
    this.#ledger = ledger
    this.#coverage = coverage
  }

  /** Why the world is not quiet yet; undefined when it is. */
  unrest(): string | undefined {
    const server = this.#players.get('server')?.board
    if (server === undefined || !server.pipeline.isOpen) return 'the authority is not open'
    const { commits, log } = server.pipeline
    for (const player of this.#players.values()) {
      const { board, database, name } = player
      if (board === undefined || database === undefined || !board.pipeline.isOpen) return `${name} is not open`
      if (!player.isAuthority && database.session === undefined) return `${name} is not logged in`
      if (!board.pipeline.isIdle) return `${name} is storing`
      if (board.problem !== undefined) return `${name} cannot store: ${board.problem.code}`
      if (board.unsaved > 0) return `${name} has ${board.unsaved} unsaved, ${dirtyOf(player)}`
      if (board.pipeline.commits.size !== commits.size)
        return `${name} holds ${board.pipeline.commits.size} of ${commits.size} commits`
      if (board.pipeline.log.entries.length !== log.entries.length) {
        return `${name} holds ${board.pipeline.log.entries.length} of ${log.entries.length} entries`
      }
      if (board.unacknowledged > 0) return `${name} has ${board.unacknowledged} commits that no checkpoint covers`
    }
    const [waiting] = this.#ledger.waiting
    if (waiting !== undefined) return `${waiting.player.name} still waits for saved(${waiting.level})`
    return undefined
  }

  /** What is held and does not count yet, if anything is. */
  get held(): string | undefined {
    for (const { name, board } of this.#players.values()) {
      for (const { why } of board?.counting.waiting.values() ?? [])
        return `${name} holds a change: ${why.code} ${why.about}`
    }
    return undefined
  }

  /** Same commits, same entries, same values, and those of the oracle. */
  mustAgree(): void {
    const server = this.#players.get('server')?.board
    if (server === undefined) throw new Error('the authority is not open')
    const all = commitsOf(server)
    const ids = all.map(({ id }) => id).sort()
    const entries = server.pipeline.log.entries.map(({ id }) => id).join()
    for (const { name, board } of this.#players.values()) {
      if (board === undefined) throw new Error(`${name} is not open`)
      const held = commitsOf(board)
        .map(({ id }) => id)
        .sort()
      if (held.join() !== ids.join()) throw new Error(`${name} and the authority hold different commits`)
      if (board.pipeline.log.entries.map(({ id }) => id).join() !== entries)
        throw new Error(`${name} holds other entries`)
    }
    for (const [name, wanted] of [...this.#ledger.local, ['server', this.#ledger.authority] as const]) {
      for (const id of wanted)
        if (!ids.includes(id)) throw new Error(`acked lost: ${id}, acknowledged by ${name}, is nowhere`)
    }
    if (this.held !== undefined) return
    this.#mustShow(all)
  }

  #mustShow(all: readonly Commit[]): void {
    for (const player of this.#players.values()) {
      for (const { session } of all) {
        const owner = player.database?.certificates.get(session)?.owner
        if (owner !== undefined) this.#owners.set(session, owner)
      }
    }
    const isDead = (commit: Commit): boolean => isGuest(this.#owners.get(commit.session) ?? '')
    this.#coverage.saw('dead change', all.filter(isDead).length)
    const entries = this.#players.get('server')?.board?.pipeline.log.entries ?? []
    const voided = entries.flatMap(({ n, statement }) =>
      statement.kind === 'verdict' ? [[statement.commit, n] as const] : [],
    )
    const expected = valuesOf(all, isDead, new Map(voided.reverse()))
    this.#countShapes(all)
    const right = print(expected)
    for (const { name, board, owner } of this.#players.values()) {
      // To a guest's own replica what it wrote counts.
      if (board === undefined || owner === 'guest') continue
      const shown = new Map<string, CardValue>()
      for (const key of [...expected.keys()].sort()) shown.set(key, valueIn(board, key))
      const found = print(shown)
      if (found !== right) throw new Error(`${name} shows other values than the oracle: ${difference(found, right)}`)
      for (const [key, { present, fields }] of expected) {
        const item = board.item(Card, key)
        if ((item !== null && item !== undefined) !== present) throw new Error(`${name}: whether ${key} is there`)
        if (!item) continue
        const [read, right] = [JSON.stringify(settledJson(item, fields)), JSON.stringify(asJson(fields))]
        if (read !== right) throw new Error(`${name} reads ${key} otherwise: ${difference(read, right)}`)
      }
    }
  }

  #countShapes(all: readonly Commit[]): void {
    const byItem = new Map<string, { commit: Commit; parents: readonly string[]; types: boolean; deletes: boolean }[]>()
    for (const commit of all) {
      for (const { key, parents, operations } of commit.changes) {
        const types = operations.some(({ kind }) => kind === 'splice')
        const deletes = operations.some(({ kind }) => kind === 'delete')
        byItem.set(key, [...(byItem.get(key) ?? []), { commit, parents, types, deletes }])
      }
    }
    for (const changes of byItem.values()) {
      const byParents = new Map<string, (typeof changes)[number]>()
      for (const change of changes) {
        const beside = byParents.get(change.parents.join())
        if (beside?.types === true && change.types) this.#coverage.saw('text typed at once by two')
        if (beside !== undefined && beside.deletes !== change.deletes) this.#coverage.saw('edit beside a deletion')
        byParents.set(change.parents.join(), change)
      }
    }
  }

  /** What must not change when everything is delivered again. */
  standing(player: Player): string {
    const { board } = player
    if (board === undefined) return ''
    const keys = [...board.counting.items.values()].flatMap((ofSchema) => [...ofSchema.keys()]).sort()
    const values = keys.map((key) => [key, valueIn(board, key)])
    const size = player.device.disk.storedFile(boardLog)?.length
    return JSON.stringify([commitsOf(board).map(({ id }) => id), board.pipeline.log.entries.length, size, values])
  }
}

type Board = NonNullable<Player['board']>

export const commitsOf = ({ pipeline }: Board): Commit[] =>
  Array.from({ length: pipeline.commits.size }, (_, index) => pipeline.commits.at(index)).filter(
    (one) => one !== undefined,
  )

/** The merged value of an item, in the oracle's shape. */
export const valueIn = (board: Board, key: string): CardValue => {
  const fields: Record<string, unknown> = {}
  const [item] = [...board.counting.items.values()].flatMap((ofSchema) => ofSchema.get(key) ?? [])
  const state = item?.value()
  for (const name of Card.names) {
    const field = Card.fields[name as keyof typeof Card.fields]
    const held = state?.fields.get(name)
    if (field.kind === 'text') fields[name] = held?.kind === 'text' ? held.rope.toString() : ''
    else if (field.kind === 'set') {
      const elements = held?.kind === 'elements' ? [...new Set(held.byTag.values())] : []
      fields[name] = elements.sort((a, b) => (String(a) < String(b) ? -1 : 1))
    } else if (field.kind === 'map') {
      const entries = held?.kind === 'entries' ? [...held.byKey] : []
      const shown = entries.map(([vote, puts]) => {
        const latest = puts.reduce((a, b) => (b.clock > a.clock || (b.clock === a.clock && b.id > a.id) ? b : a))
        return [vote, latest.value] as const
      })
      fields[name] = shown.sort(([a], [b]) => (a < b ? -1 : 1))
    } else fields[name] = held?.kind === 'register' ? held.value : field.initial
  }
  return { present: state !== undefined && state.presence.length > 0, fields }
}

/** The items with drafts, as the app holds them. */
const dirtyOf = ({ items }: Player): string =>
  [...items].flatMap(([key, item]) => (liveOf(item).draft.isEmpty ? [] : [key])).join(' ')

const print = (values: ReadonlyMap<string, CardValue>): string => JSON.stringify([...values])

/** As the item itself prints. */
const asJson = (fields: Readonly<Record<string, unknown>>): Record<string, unknown> => ({
  ...fields,
  due: typeof fields.due === 'number' ? new Date(fields.due) : null,
  votes: Object.fromEntries(fields.votes as [string, unknown][]),
})

/** What an item prints, but for fields whose value was refused: those show what the app last gave. */
const settledJson = (item: object, fields: Readonly<Record<string, unknown>>): unknown => {
  const shown = JSON.parse(JSON.stringify(item)) as Record<string, unknown>
  for (const name of Object.keys(problemsOf(item))) shown[name] = fields[name]
  return shown
}

const difference = (found: string, right: string): string => {
  let at = 0
  while (at < found.length && found[at] === right[at]) at++
  return `...${found.slice(Math.max(0, at - 60), at + 60)}... instead of ...${right.slice(Math.max(0, at - 20), at + 60)}...`
}
