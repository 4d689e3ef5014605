/** What the people of a simulated world do to their items: one edit a call, drawn from the edit's own number. */
import { type Item, keyOf, liveOf, placeBetween, WeftError } from '@weft-db/engine'
import type { Coverage } from '../coverage.ts'
import type { Stream } from '../random.ts'
import { Card } from './card.ts'
import { editStream, kindsOfEdit, titleEdit } from './draw.ts'
import type { Ledger } from './ledger.ts'
import type { Player } from './player.ts'

type CardItem = Item<typeof Card>

const words = ['warp', 'weft', 'loom', 'shed', 'pick', 'reed', 'heddle', '\u{1f9f5}', 'é', 'bobbin ']

/** Pieces long enough to keep a second change from being one. */
const letters = (stream: Stream, most: number): string =>
  Array.from({ length: 1 + stream.int(most) }, () => stream.pick(words)).join('')

export class Work {
  readonly #seed: string
  readonly #ledger: Ledger
  readonly #coverage: Coverage
  #marks = 0

  constructor(seed: string, ledger: Ledger, coverage: Coverage) {
    this.#seed = seed
    this.#ledger = ledger
    this.#coverage = coverage
  }

  edit(player: Player, index: number, draw: number): void {
    const { board, database } = player
    if (board === undefined || database === undefined) return
    // The authority stores nothing of a repository that is founded by what the rules refuse.
    if (player.owner === 'guest' && board.pipeline.durableEntries === 0) return
    const stream = editStream(this.#seed, draw)
    const key = `item${index}`
    if (!player.isAuthority && database.session === undefined) this.#coverage.saw('edited before login')
    if (database.status.connection === 'offline') this.#coverage.saw('edited while the authority is away')
    const item = this.#item(player, key)
    if (item === undefined) return
    try {
      this.#change(player, item, stream)
    } catch (error) {
      // An app that edits an item somebody has deleted meanwhile is told so.
      if (!(error instanceof WeftError) || error.code !== 'ItemDeleted') throw error
    }
    const [local, authority] = [stream.chance(0.6), stream.chance(0.4)]
    if (local) this.#ledger.track(player, item, 'local')
    if (authority) this.#ledger.track(player, item, 'authority')
  }

  /** The item, created or restored when it is not there. */
  #item(player: Player, key: string): CardItem | undefined {
    const { board } = player
    if (board === undefined) return undefined
    const found = board.item(Card, key)
    const known = player.items.get(key)
    if (found) {
      player.items.set(key, found)
      return found
    }
    if (known !== undefined && found === null) {
      this.#coverage.saw('item restored')
      board.restore(known)
      return known
    }
    const created = board.create(Card, { title: `new ${key}` }, { key })
    player.items.set(key, created)
    return created
  }

  #change(player: Player, item: CardItem, stream: Stream): void {
    const { board } = player
    if (board === undefined) return
    const kind = stream.int(kindsOfEdit)
    if (stream.chance(0.4)) this.#mark(player, item)
    if (kind < 6) this.#type(player, item, stream)
    else if (kind === titleEdit) item.title = letters(stream, 3)
    else if (kind === 7) item.done = stream.chance(0.5)
    else if (kind === 8) item.points = stream.int(1000) - 500
    else if (kind === 9) item.due = stream.chance(0.3) ? null : new Date(1_700_000_000_000 + stream.int(1_000_000))
    else if (kind === 10) item.place = placeBetween(item.place, undefined, (length) => stream.bytes(length))
    else if (kind === 11 || kind === 12) item.tags.add(stream.pick(words))
    else if (kind === 13) item.tags.delete(stream.pick(item.tags.size > 0 ? item.tags.values() : words))
    else if (kind === 14) item.votes.set(stream.pick(['a', 'b', 'c']), stream.int(10))
    else if (kind === 15) item.votes.delete(stream.pick(['a', 'b', 'c']))
    else if (kind === 16) this.#refusedValue(item, stream)
    else if (kind === 17) this.#replaceNotes(player, item, stream)
    else if (kind === 18) this.#transact(player, item, stream)
    else if (kind === 20) this.#burst(player, item, stream)
    else if (stream.chance(0.5)) {
      this.#ledger.forgetMarks(item)
      this.#coverage.saw('item deleted')
      board.delete(item)
    }
  }

  /** Commits made in one go, which are one run or more. */
  #burst(player: Player, item: CardItem, stream: Stream): void {
    const { board } = player
    if (board === undefined) return
    const count = stream.chance(0.1) ? 70 : 2 + stream.int(5)
    for (let made = 0; made < count; made++) {
      board.flush()
      // Promises about what was edited before speak of that commit.
      this.#ledger.note()
      item.points = made
    }
  }

  /** Something that no later edit takes away: it must be seen from now on. */
  #mark(player: Player, item: CardItem): void {
    // What a guest writes is dead as soon as it is in a commit.
    if (player.owner === 'guest') return
    const mark = `e${this.#marks++}`
    item.votes.set(mark, 1)
    this.#ledger.mark(player, item, { field: 'votes', mark })
  }

  #type(player: Player, item: CardItem, stream: Stream): void {
    const { length } = item.notes
    const at = stream.chance(0.4) ? length : stream.int(length + 1)
    const what = stream.int(4)
    if (what === 0 && length > 0) {
      this.#ledger.forgetTextMarks(item)
      item.notes.remove(at, 1 + stream.int(8))
    } else if (what === 1 && length > 0) {
      this.#ledger.forgetTextMarks(item)
      item.notes.splice(at, stream.int(5), letters(stream, 2))
    } else if (what === 2) {
      const mark = `<${this.#marks++}>`
      // Inside a mark that is pending, this one would break it in two.
      this.#ledger.forgetTextMarks(item)
      item.notes.insert(at, mark)
      if (player.owner !== 'guest') this.#ledger.mark(player, item, { field: 'notes', mark })
    } else {
      this.#ledger.forgetTextMarks(item)
      item.notes.insert(at, letters(stream, 4))
    }
  }

  #replaceNotes(_player: Player, item: CardItem, stream: Stream): void {
    this.#ledger.forgetTextMarks(item)
    const text = item.notes.toString()
    const cut = stream.int(text.length + 1)
    // Keeps the middle of long texts short, so that the slow model has an end.
    const kept = text.length > 400 ? text.slice(0, 200) : text
    item.notes.replace(kept.slice(0, cut) + letters(stream, 2) + kept.slice(cut))
  }

  #refusedValue(item: CardItem, stream: Stream): void {
    this.#coverage.saw('value refused by its field')
    item.points = 0.5
    if (stream.chance(0.7)) item.points = stream.int(100)
  }

  #transact(player: Player, item: CardItem, stream: Stream): void {
    const { board } = player
    if (board === undefined) return
    const others = [...player.items.values()].filter(
      (other) => other !== item && board.item(Card, keyOf(other)) === other,
    )
    const fails = stream.chance(0.3)
    // What was edited before is in a commit of its own, and the promises about it speak of that one.
    board.flush()
    this.#ledger.note()
    try {
      board.transact(() => {
        item.points = stream.int(100)
        item.notes.insert(0, '!')
        for (const other of others.slice(0, 2)) other.title = letters(stream, 2)
        if (fails) throw new RangeError('the app changed its mind')
      })
    } catch (error) {
      const expected = error instanceof RangeError || (error instanceof WeftError && error.code !== 'TooLarge')
      if (!expected) throw error
      this.#coverage.saw('transaction refused')
      if (!liveOf(item).draft.isEmpty && error instanceof RangeError)
        throw new Error('a refused transaction left something')
    }
    this.#ledger.forgetMarks(item)
    for (const other of others) this.#ledger.forgetMarks(other)
  }
}
