import { equalBytes } from '../bytes/bytes.ts'
import { limits } from '../bytes/limits.ts'
import type { Code } from '../bytes/refusal.ts'
import { type Credit, fullCredit } from './credit.ts'
import { densePositions, exactFilter, makeFilter, saltBytes, sparsePositions } from './filter.ts'
import {
  filterOfFollower,
  filterOfLeader,
  headsCame,
  idleRoundsWithFilter,
  idOf,
  pushCame,
  sparseRounds,
  wantCame,
} from './filtering.ts'
import type { Held } from './held.ts'
import { Lack } from './lack.ts'
import { compareLogs, entriesCame, sendEntries } from './logs.ts'
import type { FingerprintMessage, Hello, Message, Refused } from './message.ts'
import { isRecent, withRecent } from './recent.ts'
import type { Effect, Event, Meeting, Session } from './session.ts'
import {
  firstSums,
  movedOf,
  mySums,
  sendSums,
  sendUnsent,
  sketched,
  sumsFor,
  sumsOfOther,
  vectorOfOther,
} from './sketching.ts'
import {
  exchanged,
  mayBegin,
  noRound,
  patience,
  pushedLive,
  pushIds,
  pushLive,
  type Surroundings,
  Turn,
} from './turn.ts'

/**
 * Reconciliation of one repository over one channel, as a pure step: `step(session, event, held, surroundings)` gives
 * the next session and what is to be done. The grammar of the conversation opens `message.ts`. What holds:
 *
 * 1. When two sides call themselves level, they compared the same pair of fingerprints; what either admitted since has
 *    been pushed.
 * 2. The leader alone decides when a round begins, so that both are always in the same one; whatever belongs to another
 *    round is ignored.
 * 3. A fingerprint is sent only when everything the other sent before has been through the pipeline.
 * 4. A false hit of one filter misses the next one's salt; from the third fruitless round on there is no filter, and
 *    names are whole.
 * 5. Rounds follow each other at once three times; after that with doubling pauses, however much the other side
 *    changes.
 * 6. A mismatch that commits in flight may explain is compared again after a pause, twice, before another round is
 *    spent on it.
 * 7. Level or resting, a side says nothing until something changes.
 * 8. Whatever one message costs is bounded by the message and by one walk of each chain; a follower answers rounds
 *    within a rate; what is held goes to a peer once, and a little more within another (`credit.ts`).
 */

/** What the other side cannot take now and may take later: kept here, and offered again. */
const mending: ReadonlySet<Code> = new Set([
  'DiskFull',
  'DiskError',
  'TooMany',
  'TooFast',
  'TooManyRepositories',
  'ClockAhead',
])
const shortestPause = 250
const longestPause = 30_000
const roundsAtOnce = 3
const comparisonsInFlight = 2
/** Fruitless rounds, exact ones, when something changed while resting. */
const triesFromRest = 2
const freshCommits = limits.pendingCommits
/** A leader that is level, and to whom something happened since, compares again after so many ms. */
const levelFor = 30_000

const none = new Uint8Array(0)
const nothing = new Uint32Array(0)

/**
 * A session before `open`. The side that dialled leads. `salt`: 16 bytes, the same on both sides. `base`: filters alone. `credit`:
 * what is left of it where the two talked about this repository on this channel before.
 */
export const start = (leads: boolean, salt: Uint8Array, base = false, credit: Credit = fullCredit): Session => ({
  leads,
  phase: 'new',
  salt,
  base,
  meeting: { log: undefined, moved: 0, known: undefined, session: undefined },
  speaks: false,
  round: 0,
  compared: 0,
  empty: true,
  count: 0,
  mine: none,
  theirs: none,
  before: none,
  moved: false,
  movedThen: false,
  owed: undefined,
  unsettled: 0,
  ...noRound,
  rounds: 0,
  idle: 0,
  comparisons: 0,
  troubled: false,
  next: 'compare',
  backoff: shortestPause,
  deadline: undefined,
  timer: undefined,
  credit,
  busy: true,
  fresh: [],
  exchanged: [],
  early: [],
  logSent: 0,
  sameEpoch: true,
  forkShown: false,
})

export const step = (
  session: Session,
  event: Event,
  held: Held,
  surroundings: Surroundings,
): { readonly session: Session; readonly effects: readonly Effect[] } => {
  if (session.phase === 'closed') return { session, effects: [] }
  const turn = new Turn(session, held, surroundings)
  take(turn, event)
  return { session: turn.session, effects: turn.effects }
}

const take = (turn: Turn, event: Event): void => {
  if (event.kind === 'close') {
    turn.set({ phase: 'closed', deadline: undefined })
    return
  }
  if ((turn.session.phase === 'new') !== (event.kind === 'open')) return
  switch (event.kind) {
    case 'open':
      open(turn, event)
      break
    case 'message':
      hear(turn, event.message)
      break
    case 'admitted':
      admittedHere(turn, event.ids, event.origin)
      break
    case 'pushed':
      turn.set({ moved: true })
      pushedLive(turn, event.ids)
      break
    case 'settled':
      settledHere(turn, event.ids, event.waiting)
      break
    case 'refused':
      refusedHere(turn, event.code, event.ids)
      break
    case 'entries':
      if (event.from !== undefined) turn.set({ sameEpoch: false })
      sendEntries(turn, Math.min(turn.session.logSent, event.from ?? Number.POSITIVE_INFINITY))
      break
    case 'wake':
      turn.set({ timer: undefined })
      wake(turn)
  }
  goOn(turn)
  setTimer(turn)
}

const open = (turn: Turn, { log, moved, known, session }: Meeting): void => {
  const fingerprint = turn.fingerprint()
  const count = turn.held.count()
  const empty = count === 0
  turn.set({
    phase: 'greeting',
    meeting: { log, moved, known, session },
    mine: fingerprint,
    before: fingerprint,
    empty,
    count,
  })
  const { leads, base } = turn.session
  const sketch = base ? undefined : !leads || empty ? nothing : (known?.cursor ?? mySums(turn, 1, sumsFor(moved)))
  // Whoever names the repository again and again has its heads looked at each time.
  mayBegin(turn)
  turn.send({ kind: 'hello', fingerprint, empty, sketch })
  if (sketch instanceof Uint32Array && sketch.length > 0) turn.set({ rung: 'sketch', sketched: sketch.length })
  else if (sketch !== undefined && 'place' in sketch) turn.set({ rung: 'cursor' })
  compareLogs(turn, log)
}

const hear = (turn: Turn, message: Message): void => {
  const { leads, deadline, phase } = turn.session
  if (leads && deadline !== undefined && phase !== 'waiting' && phase !== 'level') {
    turn.set({ deadline: turn.around.now + patience })
  }
  if (message.kind === 'hello') helloCame(turn, message)
  else if (turn.session.phase === 'greeting')
    turn.offence({ code: 'UnknownMessage', about: `${message.kind} before hello` })
  else converse(turn, message)
}

const converse = (turn: Turn, message: Exclude<Message, Hello>): void => {
  switch (message.kind) {
    case 'entries':
      entriesCame(turn, message)
      break
    case 'filter':
      if (turn.session.leads) filterOfFollower(turn, message)
      else filterOfLeader(turn, message)
      break
    case 'heads':
      headsCame(turn, message)
      break
    case 'want':
      wantCame(turn, message)
      break
    case 'push':
      pushCame(turn, message)
      if (message.commits.length > 0 || message.certificates.length > 0) stir(turn)
      break
    case 'fingerprint':
      if (turn.session.leads) fingerprintOfFollower(turn, message)
      else fingerprintOfLeader(turn, message)
      break
    case 'refused':
      theyRefused(turn, message)
      break
    case 'rest':
      if (!turn.session.leads && message.round >= turn.session.round) becomeQuiet(turn)
      break
    case 'sums':
      if (sumsOfOther(turn, message) === 'filter') ask(turn)
      break
    case 'vector':
      vectorOfOther(turn, message)
      break
    case 'moved':
      movedOf(turn, message)
  }
}

const helloCame = (turn: Turn, message: Hello): void => {
  const { session } = turn
  if (session.phase !== 'greeting') return
  const speaks = !session.base && message.sketch !== undefined
  turn.set({ theirs: message.fingerprint, phase: 'following', speaks })
  if (equalBytes(message.fingerprint, session.mine)) {
    becomeLevel(turn)
    return
  }
  if (!session.empty && !message.empty) {
    if (session.leads && (session.rung === 'none' || !speaks)) ask(turn)
    else if (session.leads) turn.set({ phase: 'asking', round: 1, rounds: 1, deadline: turn.around.now + patience })
    else if (speaks && message.sketch !== undefined) sketched(turn, message.sketch)
    return
  }
  turn.set({ rung: 'none' })
  if (!session.empty) {
    clone(turn)
    if (session.leads) closeRound(turn, 1)
  } else if (session.leads) {
    turn.set({ phase: 'fetching', round: 1, awaitsPush: true, deadline: turn.around.now + patience })
  } else turn.set({ busy: false })
}

/** Everything that can be sent, in the order in which it came. */
const clone = (turn: Turn): void => {
  const { held } = turn
  const lack = new Lack(held)
  lack.keepOf(held.heads())
  const ids = held.arrival(0, held.count())
  turn.set({ fresh: [], busy: false })
  pushIds(turn, 1, lack.kept.size > 0 ? lack.sendable(ids) : ids, true)
}

const ask = (turn: Turn): void => {
  const { hash, now, random } = turn.around
  const { speaks, rounds, idle } = turn.session
  const round = turn.session.round + 1
  const sketches = speaks && rounds === 0 && idle === 0
  turn.set({
    ...noRound,
    phase: 'asking',
    round,
    rounds: rounds + 1,
    comparisons: 0,
    troubled: false,
    busy: true,
    deadline: now + patience,
  })
  if (sketches) return sendSums(turn, firstSums)
  const salt = random(saltBytes)
  const positions = rounds < sparseRounds ? sparsePositions : densePositions
  const filter =
    idle >= idleRoundsWithFilter
      ? exactFilter(salt)
      : makeFilter(Array.from(turn.held.heads(), idOf), salt, hash, positions)
  turn.set({ rung: 'filter' })
  turn.send({ kind: 'filter', round, filter })
}

/** What can be done as soon as the pipeline is through. */
const goOn = (turn: Turn): void => {
  const { session } = turn
  if (session.unsettled > 0) return
  if (session.phase === 'fetching' && !session.awaitsPush && !session.awaitsWant) {
    if (session.unsent !== undefined) sendUnsent(turn, session.unsent)
    closeRound(turn, session.round)
  } else if (session.owed) answerFingerprint(turn, session.owed.round, session.owed.fingerprint)
}

/** `theirs`: the leader's, when this is the answer to it. */
const sendFingerprint = (turn: Turn, round: number, theirs?: Uint8Array): void => {
  pushLive(turn, turn.session.fresh)
  const fingerprint = turn.fingerprint()
  const count = turn.held.count()
  const same = theirs !== undefined && equalBytes(fingerprint, theirs)
  const hash = same && !turn.session.base ? turn.held.prefixHash(count) : undefined
  turn.send({
    kind: 'fingerprint',
    round,
    fingerprint: same ? undefined : fingerprint,
    moved: turn.session.moved,
    cursor: hash && { place: count, hash },
  })
  turn.set({ round, mine: fingerprint, count, movedThen: turn.session.moved, moved: false, fresh: [], busy: false })
}

const closeRound = (turn: Turn, round: number): void => {
  sendFingerprint(turn, round)
  turn.set({ phase: 'comparing', comparisons: turn.session.comparisons + 1, deadline: turn.around.now + patience })
}

const fingerprintOfLeader = (turn: Turn, message: FingerprintMessage): void => {
  const { session } = turn
  if (message.round < session.round || message.round <= session.compared) return
  if (message.fingerprint === undefined) return turn.offence({ code: 'Malformed', about: 'no fingerprint' })
  turn.set({ round: message.round, rung: 'none', owed: { round: message.round, fingerprint: message.fingerprint } })
}

const answerFingerprint = (turn: Turn, round: number, theirs: Uint8Array): void => {
  sendFingerprint(turn, round, theirs)
  turn.set({ owed: undefined, compared: round, theirs, phase: 'following' })
  if (equalBytes(turn.session.mine, theirs)) becomeLevel(turn)
}

const fingerprintOfFollower = (turn: Turn, message: FingerprintMessage): void => {
  const { session } = turn
  if (message.round !== session.round) return
  const theirs = message.fingerprint ?? session.mine
  if (session.phase === 'level' || session.phase === 'resting') {
    if (!equalBytes(theirs, turn.fingerprint())) pause(turn, 'compare')
    return
  }
  if (session.phase !== 'comparing') return
  if (equalBytes(session.mine, theirs)) {
    const { cursor } = message
    if (cursor !== undefined) turn.effects.push({ kind: 'known', known: { cursor, count: session.count } })
    becomeLevel(turn)
    // What was refused since is on one side alone.
    if (session.troubled) pause(turn, 'compare')
    return
  }
  const changed = !equalBytes(session.mine, session.before) || !equalBytes(theirs, session.theirs)
  const closesRound = session.comparisons === 1 && session.rounds > 0
  // What hid from filters once may hide again: exact lists go on to the end.
  const least = session.idle < idleRoundsWithFilter ? 0 : idleRoundsWithFilter
  const idle = changed ? least : closesRound && !session.troubled ? session.idle + 1 : session.idle
  turn.set({ idle, before: session.mine, theirs })
  if (idle >= limits.idleRounds) {
    turn.send({ kind: 'rest', round: session.round })
    becomeQuiet(turn)
    return
  }
  if (session.troubled) {
    pause(turn, 'ask')
    return
  }
  const inFlight = (message.moved || session.movedThen) && session.comparisons <= comparisonsInFlight
  if (inFlight) {
    pause(turn, 'compare')
    return
  }
  if (session.rounds >= roundsAtOnce) {
    pause(turn, 'ask')
    return
  }
  ask(turn)
}

const becomeLevel = (turn: Turn): void => {
  pushLive(turn, turn.session.fresh)
  turn.set({
    ...noRound,
    phase: 'level',
    rounds: 0,
    idle: 0,
    comparisons: 0,
    troubled: false,
    backoff: shortestPause,
    deadline: undefined,
    busy: false,
    fresh: [],
  })
  turn.effects.push({ kind: 'level' })
}

const becomeQuiet = (turn: Turn): void => {
  const { listed, wanted } = turn.session
  const missing = wanted.flatMap((index) => listed[index]?.id ?? []).filter((id) => !turn.held.has(id))
  turn.set({ ...noRound, phase: 'resting', deadline: undefined, busy: false })
  turn.effects.push({ kind: 'rest', missing })
}

const pause = (turn: Turn, next: 'ask' | 'compare'): void => {
  const { backoff } = turn.session
  turn.set({
    phase: 'waiting',
    next,
    deadline: turn.around.now + backoff,
    backoff: Math.min(2 * backoff, longestPause),
  })
}

/** Something changed: a leader that rests looks again. */
const stir = (turn: Turn): void => {
  if (!turn.session.leads || turn.session.phase !== 'resting') return
  turn.set({ idle: limits.idleRounds - triesFromRest, comparisons: 0 })
  pause(turn, 'compare')
}

/** Something came or went while the two were level: they compare again before long, and agree on a place to begin from next time. */
const look = (turn: Turn): void => {
  const { leads, base, phase, deadline } = turn.session
  if (leads && !base && phase === 'level' && deadline === undefined) turn.set({ deadline: turn.around.now + levelFor })
}

const wake = (turn: Turn): void => {
  const { deadline, phase, next, round, postponed } = turn.session
  if (deadline === undefined || turn.around.now < deadline) return
  if (postponed !== undefined) {
    turn.set({ postponed: undefined, deadline: undefined })
    converse(turn, postponed)
  } else if (phase === 'waiting' && next === 'ask') ask(turn)
  else closeRound(turn, round + 1)
}

const setTimer = (turn: Turn): void => {
  const { deadline, timer } = turn.session
  if (deadline === undefined || (timer !== undefined && timer <= deadline)) return
  turn.set({ timer: deadline })
  turn.effects.push({ kind: 'wake', after: Math.max(0, deadline - turn.around.now) })
}

/**
 * Which of these commits, just admitted and not from this peer, the event `admitted` would push now, when nothing else would come of it.
 * Whoever has many peers asks that first, pushes the same to all of them, and tells in the end what was `pushed`. Undefined: not so.
 */
export const livePush = ({ leads, busy, early }: Session, ids: readonly string[]): readonly string[] | undefined => {
  if (leads || busy) return undefined
  return early.length === 0 ? ids : ids.filter((id) => !isRecent(early, id))
}

const admittedHere = (turn: Turn, ids: readonly string[], origin: 'local' | 'peer' | 'other'): void => {
  look(turn)
  if (origin === 'peer') {
    stir(turn)
    return
  }
  const { early } = turn.session
  const unknown = ids.filter((id) => !isRecent(early, id))
  turn.set({ moved: true })
  if (!turn.session.busy) pushLive(turn, unknown)
  else {
    // More than can wait: the next round finds them.
    const fresh = [...turn.session.fresh, ...unknown]
    turn.set({ fresh: fresh.length > freshCommits ? [] : fresh })
  }
  stir(turn)
}

const settledHere = (turn: Turn, ids: readonly string[], waiting: boolean): void => {
  exchanged(turn, ids)
  const early = ids.filter((id) => !turn.held.has(id))
  if (early.length > 0) turn.set({ early: withRecent(turn.session.early, early) })
  turn.set({ unsettled: Math.max(0, turn.session.unsettled - 1) })
  if (!waiting || turn.session.phase !== 'level') return
  // What was pushed live builds on something that never came: not level after all.
  if (turn.session.leads) pause(turn, 'compare')
  else sendFingerprint(turn, turn.session.round)
}

/** Storage mends itself, and rates recover: such a commit is offered again, by rounds with growing pauses. */
const refusedHere = (turn: Turn, code: Code, ids: readonly string[]): void => {
  turn.send({ kind: 'refused', code, ids: ids.slice(0, limits.pendingCommits) })
  trouble(turn, code)
}

const theyRefused = (turn: Turn, message: Refused): void => {
  turn.effects.push({ kind: 'refused', code: message.code, ids: message.ids })
  trouble(turn, message.code)
}

const trouble = (turn: Turn, code: Code): void => {
  if (!mending.has(code)) return
  turn.set({ troubled: true })
  if (turn.session.leads && (turn.session.phase === 'level' || turn.session.phase === 'resting')) pause(turn, 'ask')
}
