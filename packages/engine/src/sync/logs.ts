import { equalBytes } from '../bytes/bytes.ts'
import { isRefusal } from '../bytes/refusal.ts'
import type { Position } from '../commit/commit.ts'
import { readEntry } from '../trust/entry.ts'
import { entriesInFrames } from './answer.ts'
import type { Entries } from './message.ts'
import type { Turn } from './turn.ts'

/** The part of a conversation that is about the authority log: it is brought level before everything else, and forks are shown. */

export const compareLogs = (turn: Turn, theirs: Position | undefined): void => {
  const mine = turn.held.logPosition()
  turn.set({
    logSent: theirs ? theirs.n + 1 : 0,
    sameEpoch: theirs === undefined || mine === undefined || theirs.epoch === mine.epoch,
  })
  if (mine === undefined) return
  if (theirs === undefined) {
    sendEntries(turn, 0)
    return
  }
  // After a recovery the logs part at the old epoch's last kept entry, which the first one of the new epoch names.
  if (theirs.epoch > mine.epoch) return
  if (theirs.epoch < mine.epoch) {
    const start = turn.held.epochAfter(theirs.epoch) ?? 0
    if (theirs.n < start && turn.held.logHash(theirs.n) !== theirs.hash) return showFork(turn, theirs.n)
    const from = Math.min(start, theirs.n + 1)
    turn.set({ logSent: from })
    return sendEntries(turn, from)
  }
  if (theirs.n > mine.n) return
  if (turn.held.logHash(theirs.n) === theirs.hash) sendEntries(turn, theirs.n + 1)
  else showFork(turn, theirs.n)
}

export const sendEntries = (turn: Turn, from: number): void => {
  const entries = turn.held.entriesFrom(from)
  let at = from
  for (const run of entriesInFrames(entries)) {
    turn.send({ kind: 'entries', from: at, entries: run })
    at += run.length
  }
  if (at > turn.session.logSent) turn.set({ logSent: at })
}

/** Sends the entry at a place where the other has another, so that both have the evidence. */
export const showFork = (turn: Turn, n: number): void => {
  const entry = turn.held.entriesFrom(n)[0]
  if (turn.session.forkShown || entry === undefined) return
  turn.set({ forkShown: true })
  turn.send({ kind: 'entries', from: n, entries: [entry] })
}

/** Whether what differs is no fork: one of the two stands where an epoch of the other left it out. */
const isOfOtherEpoch = (turn: Turn, own: Uint8Array, other: Uint8Array): boolean => {
  const [mine, theirs] = [readEntry(own, turn.around.hash), readEntry(other, turn.around.hash)]
  return !isRefusal(mine) && !isRefusal(theirs) && mine.epoch !== theirs.epoch
}

export const entriesCame = (turn: Turn, message: Entries): void => {
  const end = message.from + message.entries.length
  if (turn.session.sameEpoch) {
    const mine = turn.held.entriesFrom(message.from)
    for (const [i, entry] of message.entries.entries()) {
      const own = mine[i]
      if (own === undefined) break
      if (equalBytes(own, entry)) continue
      if (isOfOtherEpoch(turn, own, entry)) {
        turn.set({ sameEpoch: false })
        break
      }
      turn.offence({ code: 'LogForked', about: `entry ${message.from + i}` }, [own, entry])
      showFork(turn, message.from + i)
      return
    }
    if (turn.session.sameEpoch && message.entries.length <= mine.length) return
  }
  if (end > turn.session.logSent || !turn.session.sameEpoch) turn.set({ logSent: end })
  turn.effects.push({ kind: 'deliver', from: message.from, entries: message.entries })
}
