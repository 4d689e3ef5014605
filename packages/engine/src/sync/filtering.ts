import { limits } from '../bytes/limits.ts'
import type { Head } from '../graph/commits.ts'
import {
  answerWant,
  compareHeads,
  headsInMessages,
  unlisted,
  walkBack,
  wantsInMessages,
  withLocators,
} from './answer.ts'
import { exactFilter, makeFilter, missing, refuseFilter, saltBytes } from './filter.ts'
import { Lack } from './lack.ts'
import type { FilterMessage, Heads, Name, Push, Want, Wanted } from './message.ts'
import { shortChain, shortId } from './message.ts'
import { mayBegin, noRound, pushIds, type Turn } from './turn.ts'

/** The rounds that go by filters and lists of heads: the base protocol, which settles whatever differs. */

const headsPerRound = 32 * limits.headsPerMessage
/** Answers to the wants of one head: the first may be that none of the places is known. */
const mostAnswers = 2
/** Rounds that moved nothing, before the next ones have no filter. */
export const idleRoundsWithFilter = 2
/** Rounds before filters get twice the bits: whoever was unlucky twice is not to be so again. */
export const sparseRounds = 2

export const filterOfLeader = (turn: Turn, message: FilterMessage): void => {
  const { hash, random } = turn.around
  const { round, filter } = message
  if (round <= turn.session.round || !mayBegin(turn, message)) return
  const refused = refuseFilter(filter)
  if (refused) {
    turn.offence(refused)
    return
  }
  const tips = [...turn.held.heads()]
  const exact = filter.bits.length === 0
  const salt = random(saltBytes)
  const own = exact ? exactFilter(salt) : makeFilter(tips.map(idOf), salt, hash, filter.hashes)
  turn.set({ ...noRound, phase: 'following', round, filter, busy: true, owed: undefined, deadline: undefined })
  turn.send({ kind: 'filter', round, filter: own })
  offer(turn, missing(tips, filter, hash), exact)
}

export const filterOfFollower = (turn: Turn, message: FilterMessage): void => {
  if (turn.session.phase !== 'asking' || message.round !== turn.session.round || turn.session.rung !== 'filter') return
  if (turn.session.filter !== undefined) return
  const refused = refuseFilter(message.filter)
  if (refused) {
    turn.offence(refused)
    return
  }
  turn.set({ filter: message.filter })
}

export const offer = (turn: Turn, heads: readonly Head[], exact: boolean): void => {
  // More than a round holds: any of them, other ones each time.
  const from =
    heads.length > headsPerRound ? new DataView(turn.around.random(4).slice().buffer).getUint32(0) % heads.length : 0
  const offered = [...heads.slice(from), ...heads.slice(0, from)].slice(0, headsPerRound)
  turn.set({ offered, answered: new Map(), asked: [] })
  const names = offered.map(
    (head): Name => (exact ? head : { chain: shortChain(head.chain), seq: head.seq, id: shortId(head.id) }),
  )
  const { round } = turn.session
  const runs = headsInMessages(names)
  if (runs.length === 0) turn.send({ kind: 'heads', round, more: false, heads: [] })
  for (const [i, run] of runs.entries()) turn.send({ kind: 'heads', round, more: i < runs.length - 1, heads: run })
}

export const headsCame = (turn: Turn, message: Heads): void => {
  const { session } = turn
  if (message.round !== session.round || session.complete) return
  if (session.leads ? session.phase !== 'asking' : session.filter === undefined) return
  const listed = [...session.listed, ...message.heads]
  if (listed.length > headsPerRound) {
    turn.offence({ code: 'TooMany', about: 'heads' })
    return
  }
  turn.set({ listed, complete: !message.more })
  if (message.more) return
  const { filter } = session
  // Of the leader's tips, those that are none of the follower's: chains that it did not list either it has nothing of, or a false hit hid them.
  const missed = !session.leads || filter === undefined ? [] : missing([...turn.held.heads()], filter, turn.around.hash)
  const lack = new Lack(turn.held, session.kept)
  const absent = unlisted(missed, listed)
  lack.keepOf(absent)
  const { told, wants, named } = compareHeads(listed, turn.held, lack)
  if (lack.kept.size > 0)
    for (const tip of absent) if (!lack.kept.has(tip.chain)) lack.addLater(walkBack(tip, [], turn.held).ids)
  const ids = lack.sendable()
  turn.set({ kept: lack.kept, wanted: wants.map((want) => want.index) })
  pushIds(turn, session.round, ids, false)
  if (!session.leads || wants.length > 0) askFor(turn, wants)
  if (!session.leads) return
  turn.set({ phase: 'fetching' })
  // Without a filter that can be trusted, the other's heads are all there is to go by.
  if (filter === undefined) return
  // A tip that a want names lies before what is wanted, or it is another branch: then the round moves nothing.
  const isTold = (tip: Head): boolean =>
    told.has(tip.id) || (named.has(tip.id) && turn.session.idle <= idleRoundsWithFilter)
  const silent = missed.filter((tip) => !isTold(tip))
  if (silent.length === 0) return
  turn.set({ awaitsWant: true })
  offer(turn, silent, filter.bits.length === 0)
}

export const askFor = (turn: Turn, wants: readonly Wanted[]): void => {
  const { round } = turn.session
  turn.set({ asks: turn.session.asks + 1, awaitsPush: wants.length > 0 })
  const runs = wantsInMessages(wants)
  if (runs.length === 0) turn.send({ kind: 'want', round, more: false, wants: [] })
  for (const [i, run] of runs.entries()) turn.send({ kind: 'want', round, more: i < runs.length - 1, wants: run })
}

export const wantCame = (turn: Turn, message: Want): void => {
  const { session } = turn
  if (message.round !== session.round || session.offered.length === 0) return
  const asked = [...session.asked, ...message.wants]
  if (asked.length > session.offered.length) {
    turn.offence({ code: 'TooMany', about: 'wants' })
    return
  }
  turn.set({ asked: message.more ? asked : [] })
  if (message.more) return
  const answered = new Map(session.answered)
  const lack = new Lack(turn.held, session.kept)
  const unknown: number[] = []
  for (const want of asked) {
    const tip = session.offered[want.index]
    const times = answered.get(want.index) ?? 0
    if (tip === undefined || times >= mostAnswers) continue
    const isAnswered =
      answerWant(want, tip, turn.held, lack) || (times > 0 && answerWant({ ...want, held: [] }, tip, turn.held, lack))
    // Who was sent what they asked for has it.
    answered.set(want.index, isAnswered ? mostAnswers : 1)
    if (!isAnswered) unknown.push(want.index)
  }
  const ids = lack.sendable()
  turn.set({ kept: lack.kept, answered, awaitsWant: session.awaitsWant && unknown.length > 0 })
  if (asked.length > 0) pushIds(turn, session.round, ids, true, unknown)
}

export const pushCame = (turn: Turn, message: Push): void => {
  if (message.commits.length > 0 || message.certificates.length > 0) {
    turn.set({ unsettled: turn.session.unsettled + 1 })
    turn.effects.push({ kind: 'admit', commits: message.commits, certificates: message.certificates })
  }
  const { session } = turn
  if (!message.last || message.round !== session.round || !session.awaitsPush) return
  const asked = new Set(session.wanted)
  const unknown = session.asks === 1 ? [...new Set(message.unknown)].filter((index) => asked.has(index)) : []
  const wants = withLocators(unknown, session.listed, turn.held)
  if (wants.length > 0) askFor(turn, wants)
  else turn.set({ awaitsPush: false })
}

export const idOf = (head: Head): string => head.id
