import { equalBytes } from '../bytes/bytes.ts'
import { isRefusal } from '../bytes/refusal.ts'
import type { Cursor, Moved, SumsMessage, VectorMessage } from './message.ts'
import { isRecent } from './recent.ts'
import { answerMoved, type Settled, settleSums, settleVector, strandsOf, vectorOf } from './sketch.ts'
import { mostSums, type Sums, sumsOf } from './sums.ts'
import { mayBegin, noRound, pushIds, type Turn } from './turn.ts'
import { decodeVector, vectorBytes } from './vector.ts'

/** The rounds that go by arithmetic: a cursor, sums, or a vector, answered by whoever can tell from it what differs. */

/** Sums in a hello to somebody with whom little moved, to somebody who was never met, and in the answer to what did not do. */
const fewSums = 7
export const firstSums = 32
const moreSums = 64
/** Heads in a vector, at most. */
const mostHeads = 65_536

/** Sums that tell so many moved chains, where that is known to be few. */
export const sumsFor = (moved: number): number => (2 * moved + 1 <= fewSums ? fewSums : firstSums)

export const mySums = (turn: Turn, round: number, count: number): Sums =>
  sumsOf(strandsOf(turn.held, turn.keys(round)).elements, count)

export const sendSums = (turn: Turn, count: number): void => {
  const { round } = turn.session
  turn.set({ rung: 'sketch', sketched: count })
  turn.send({ kind: 'sums', round, sums: mySums(turn, round, count) })
}

/** The leader's hello came with a sketch, and the two sides differ: the follower answers. */
export const sketched = (turn: Turn, sketch: Sums | Cursor): void => {
  if (sketch instanceof Uint32Array && sketch.length === 0) return
  const round = 1
  turn.set({ ...noRound, round, rung: 'sketch', busy: true })
  if (sketch instanceof Uint32Array) return void settleBySums(turn, sketch)
  const hash = turn.held.prefixHash(sketch.place)
  const fits = hash !== undefined && equalBytes(hash, sketch.hash)
  const ids = fits ? wholeFrom(turn, sketch.place) : undefined
  if (ids === undefined) return sendSums(turn, sumsFor(turn.session.meeting.moved))
  turn.set({ rung: 'none' })
  const { session } = turn.session.meeting
  turn.send({ kind: 'moved', round, rest: [], behind: [], pushes: true })
  pushIds(
    turn,
    round,
    session === undefined ? ids : ids.filter((id) => turn.held.placeOf(id)?.chain.startsWith(session) !== true),
    true,
  )
}

/** All commits from that place on; undefined where some were dropped, and nobody can tell what else was. */
const wholeFrom = (turn: Turn, from: number): readonly string[] | undefined => {
  const ids = turn.held.arrival(from, turn.held.count())
  return ids.some((id) => turn.held.isDropped(id)) ? undefined : ids
}

/** `'filter'`: the other side wants one, and it is for this side to begin that round. */
export const sumsOfOther = (turn: Turn, message: SumsMessage): 'filter' | undefined => {
  const { round, sums } = message
  const { session } = turn
  if (!session.leads && round > session.round) {
    if (!mayBegin(turn, message)) return undefined
    turn.set({
      ...noRound,
      phase: 'following',
      round,
      rung: 'sketch',
      busy: true,
      owed: undefined,
      deadline: undefined,
    })
  } else if (!sketches(turn, round)) return undefined
  if (sums.length === 0) return session.leads ? 'filter' : undefined
  // More than before, or the two would go on for ever.
  if (sums.length <= turn.session.sketched && turn.session.rung === 'sketch') return undefined
  return settleBySums(turn, sums)
}

const sketches = (turn: Turn, round: number): boolean => {
  const { leads, phase, rung } = turn.session
  if (round !== turn.session.round || (rung !== 'sketch' && rung !== 'cursor')) return false
  return leads ? phase === 'asking' : phase === 'following'
}

const settleBySums = (turn: Turn, theirs: Sums): 'filter' | undefined => {
  const { round } = turn.session
  const keys = turn.keys(round)
  const settled = settleSums(theirs, strandsOf(turn.held, keys), keys, turn.held)
  if (settled === undefined) return sketchMore(turn, theirs.length)
  settle(turn, settled)
  return undefined
}

/** More differs than so many sums tell: more of mine, or all heads where that is shorter. */
const sketchMore = (turn: Turn, sums: number): 'filter' | undefined => {
  const { leads, round } = turn.session
  const next = sums < moreSums ? moreSums : sums < mostSums ? mostSums : undefined
  let tips = 0
  let commits = 0
  for (const { seq } of turn.held.heads()) {
    tips++
    commits += seq + 1
  }
  const vector = vectorBytes(tips, commits, { round, idBits: 0 })
  if (next !== undefined && (4 * next <= vector || tips > mostHeads)) {
    sendSums(turn, next)
    return undefined
  }
  turn.set({ rung: 'sketch', sketched: Number.POSITIVE_INFINITY })
  if (tips <= mostHeads) {
    const { bits, count } = vectorOf(turn.held, turn.keys(round), round)
    turn.set({ vector: count })
    turn.send({ kind: 'vector', round, bits })
    return undefined
  }
  if (!leads) turn.send({ kind: 'sums', round, sums: new Uint32Array(0) })
  return leads ? 'filter' : undefined
}

export const vectorOfOther = (turn: Turn, { round, bits }: VectorMessage): void => {
  if (!sketches(turn, round)) return
  const heads = decodeVector(bits, { round, idBits: 0 }, mostHeads)
  if (isRefusal(heads)) return turn.offence(heads)
  settle(turn, settleVector(heads, round, turn.keys(round), turn.held))
}

/** It is known what differs: says where this side is behind, and sends where it is ahead. */
const settle = (turn: Turn, { push, behind, rest }: Settled): void => {
  const { leads, round } = turn.session
  turn.set({ rung: 'none' })
  const pushes = push.length > 0
  turn.send({ kind: 'moved', round, rest, behind, pushes })
  pushIds(turn, round, push, pushes)
  if (leads) turn.set({ phase: 'fetching', awaitsPush: behind.length > 0 || rest.length > 0 })
}

export const movedOf = (turn: Turn, message: Moved): void => {
  if (!sketches(turn, message.round)) return
  const { leads, rung, vector, meeting } = turn.session
  turn.set({ rung: 'none' })
  if (rung === 'cursor') turn.set({ unsent: meeting.known?.count })
  else {
    const ids = answerMoved(message, vector, turn.keys(message.round), turn.held)
    if (!leads || ids.length > 0) pushIds(turn, message.round, ids, true)
  }
  if (leads) turn.set({ phase: 'fetching', awaitsPush: message.pushes })
}

/** What the follower did not hold when the two were level, and did not just send: it knew the place, so it holds the rest. */
export const sendUnsent = (turn: Turn, from: number): void => {
  turn.set({ unsent: undefined })
  const ids = wholeFrom(turn, from) ?? []
  pushIds(
    turn,
    turn.session.round,
    ids.filter((id) => !isRecent(turn.session.exchanged, id)),
    true,
  )
}
