import { equalBytes } from '../bytes/bytes.ts'
import { limits } from '../bytes/limits.ts'
import type { Code, Refusal } from '../bytes/refusal.ts'
import type { Hash } from '../commit/commit.ts'
import type { Head } from '../graph/commits.ts'
import {
  answerWant,
  compareHeads,
  entriesInFrames,
  headsInMessages,
  inArrivalOrder,
  inFrames,
  wantsInMessages,
  withLocators,
} from './answer.ts'
import { exactFilter, hits, makeFilter, refuseFilter, saltBytes } from './filter.ts'
import type { Held } from './held.ts'
import type {
  Entries,
  FilterMessage,
  FingerprintMessage,
  Heads,
  Hello,
  Message,
  Name,
  Push,
  Refused,
  Want,
  Wanted,
} from './message.ts'
import { shortChain, shortId } from './message.ts'
import { isRecent, withRecent } from './recent.ts'
import type { Effect, Event, Session } from './session.ts'

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
 *    within a rate.
 */

export interface Surroundings {
  /** Monotonic, ms. */
  readonly now: number
  readonly random: (length: number) => Uint8Array
  /** SHA-256. */
  readonly hash: Hash
}

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
/** A leader that hears nothing for so long begins another round. */
const patience = 60_000
const roundsAtOnce = 3
const comparisonsInFlight = 2
const idleRoundsWithFilter = 2
/** Fruitless rounds, exact ones, when something changed while resting. */
const triesFromRest = 2
/** Rounds a follower answers at once, and ms until it answers one more. */
const mostCredit = 8
const creditEvery = 500
const freshCommits = limits.pendingCommits
const headsPerRound = 32 * limits.headsPerMessage

const none = new Uint8Array(0)

/** A session before `open`. The side that dialled leads. */
export const start = (leads: boolean): Session => ({
  leads,
  phase: 'new',
  round: 0,
  compared: 0,
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
  credit: mostCredit,
  creditAt: 0,
  busy: true,
  fresh: [],
  exchanged: [],
  logSent: 0,
  sameEpoch: true,
  forkShown: false,
})

const noRound = {
  filter: undefined,
  listed: [],
  complete: false,
  offered: [],
  answered: new Map(),
  asked: [],
  wanted: [],
  asks: 0,
  awaitsPush: false,
  awaitsWant: false,
} satisfies Partial<Session>

export const step = (
  session: Session,
  event: Event,
  held: Held,
  surroundings: Surroundings,
): { readonly session: Session; readonly effects: readonly Effect[] } => {
  if (session.phase === 'closed') return { session, effects: [] }
  const turn = new Turn(session, held, surroundings)
  turn.take(event)
  return { session: turn.session, effects: turn.effects }
}

/** One step: a session that is replaced, never changed, and the effects so far. */
class Turn {
  session: Session
  readonly effects: Effect[] = []
  readonly #held: Held
  readonly #around: Surroundings

  constructor(session: Session, held: Held, around: Surroundings) {
    this.session = session
    this.#held = held
    this.#around = around
  }

  take(event: Event): void {
    if (event.kind === 'close') {
      this.#set({ phase: 'closed', deadline: undefined })
      return
    }
    if (this.session.phase === 'new') this.#open()
    switch (event.kind) {
      case 'open':
        break
      case 'message':
        this.#hear(event.message)
        break
      case 'admitted':
        this.#admitted(event.ids, event.origin)
        break
      case 'settled':
        this.#settled(event.ids, event.waiting)
        break
      case 'refused':
        this.#refused(event.code, event.ids)
        break
      case 'entries':
        if (this.session.phase !== 'greeting') this.#sendEntries(this.session.logSent)
        break
      case 'wake':
        this.#set({ timer: undefined })
        this.#wake()
    }
    this.#goOn()
    this.#setTimer()
  }

  #set(changes: Partial<Session>): void {
    this.session = { ...this.session, ...changes }
  }

  #send(message: Message): void {
    this.effects.push({ kind: 'send', message })
  }

  #offence(refused: Refusal, evidence?: readonly Uint8Array[]): void {
    this.effects.push({ kind: 'offence', ...refused, ...(evidence && { evidence }) })
  }

  #open(): void {
    const fingerprint = this.#held.fingerprint()
    const count = this.#held.count()
    this.#set({ phase: 'greeting', mine: fingerprint, before: fingerprint, count })
    this.#send({ kind: 'hello', fingerprint, count, log: this.#held.logPosition() })
  }

  #hear(message: Message): void {
    if (this.session.leads && this.session.deadline !== undefined && this.session.phase !== 'waiting') {
      this.#set({ deadline: this.#around.now + patience })
    }
    if (message.kind === 'hello') this.#hello(message)
    else if (this.session.phase === 'greeting')
      this.#offence({ code: 'UnknownMessage', about: `${message.kind} before hello` })
    else this.#converse(message)
  }

  #converse(message: Exclude<Message, Hello>): void {
    switch (message.kind) {
      case 'entries':
        this.#entries(message)
        break
      case 'filter':
        if (this.session.leads) this.#filterOfFollower(message)
        else this.#filterOfLeader(message)
        break
      case 'heads':
        this.#heads(message)
        break
      case 'want':
        this.#want(message)
        break
      case 'push':
        this.#push(message)
        break
      case 'fingerprint':
        if (this.session.leads) this.#fingerprintOfFollower(message)
        else this.#fingerprintOfLeader(message)
        break
      case 'refused':
        this.#theyRefused(message)
        break
      case 'rest':
        if (!this.session.leads && message.round >= this.session.round) this.#rest()
    }
  }

  // Hello

  #hello(message: Hello): void {
    const { session } = this
    if (session.phase !== 'greeting') return
    this.#set({ theirs: message.fingerprint, phase: 'following' })
    this.#compareLogs(message)
    if (equalBytes(message.fingerprint, session.mine)) {
      this.#level()
      return
    }
    if (session.count > 0 && message.count > 0) {
      if (session.leads) this.#ask()
      return
    }
    if (session.count > 0) {
      this.#clone()
      if (session.leads) this.#closeRound(1)
    } else if (session.leads) {
      this.#set({ phase: 'fetching', round: 1, awaitsPush: true, deadline: this.#around.now + patience })
    } else this.#set({ busy: false })
  }

  /** Everything, in the order in which it came. */
  #clone(): void {
    const ids = this.#held.arrival(0, this.#held.count())
    this.#set({ fresh: [], busy: false })
    this.#pushIds(1, ids, true)
  }

  // Authority log

  #compareLogs(hello: Hello): void {
    const theirs = hello.log
    const mine = this.#held.logPosition()
    this.#set({
      logSent: theirs ? theirs.n + 1 : 0,
      sameEpoch: theirs === undefined || mine === undefined || theirs.epoch === mine.epoch,
    })
    if (mine === undefined) return
    if (theirs === undefined) {
      this.#sendEntries(0)
      return
    }
    // After a recovery the logs part at the old epoch's last kept entry, which the new epoch's own entries name.
    if (theirs.epoch !== mine.epoch) {
      if (theirs.epoch < mine.epoch) this.#sendEntries(0)
      return
    }
    if (theirs.n > mine.n) return
    if (this.#held.logHash(theirs.n) === theirs.hash) this.#sendEntries(theirs.n + 1)
    else this.#showFork(theirs.n)
  }

  #sendEntries(from: number): void {
    const entries = this.#held.entriesFrom(from)
    let at = from
    for (const run of entriesInFrames(entries)) {
      this.#send({ kind: 'entries', from: at, entries: run })
      at += run.length
    }
    if (at > this.session.logSent) this.#set({ logSent: at })
  }

  /** Sends the entry at a place where the other has another, so that both have the evidence. */
  #showFork(n: number): void {
    const entry = this.#held.entriesFrom(n)[0]
    if (this.session.forkShown || entry === undefined) return
    this.#set({ forkShown: true })
    this.#send({ kind: 'entries', from: n, entries: [entry] })
  }

  #entries(message: Entries): void {
    const end = message.from + message.entries.length
    if (this.session.sameEpoch) {
      const mine = this.#held.entriesFrom(message.from)
      for (const [i, entry] of message.entries.entries()) {
        const own = mine[i]
        if (own === undefined) break
        if (equalBytes(own, entry)) continue
        this.#offence({ code: 'LogForked', about: `entry ${message.from + i}` }, [own, entry])
        this.#showFork(message.from + i)
        return
      }
      if (message.entries.length <= mine.length) return
    }
    if (end > this.session.logSent) this.#set({ logSent: end })
    this.effects.push({ kind: 'deliver', from: message.from, entries: message.entries })
  }

  // A round

  #ask(): void {
    const { hash, now, random } = this.#around
    const round = this.session.round + 1
    const salt = random(saltBytes)
    const filter =
      this.session.idle >= idleRoundsWithFilter
        ? exactFilter(salt)
        : makeFilter(Array.from(this.#held.heads(), idOf), salt, hash)
    this.#set({
      ...noRound,
      phase: 'asking',
      round,
      rounds: this.session.rounds + 1,
      comparisons: 0,
      troubled: false,
      busy: true,
      deadline: now + patience,
    })
    this.#send({ kind: 'filter', round, filter })
  }

  #filterOfLeader(message: FilterMessage): void {
    const { hash, now, random } = this.#around
    const { round, filter } = message
    if (round <= this.session.round) return
    const credit = Math.min(mostCredit, this.session.credit + (now - this.session.creditAt) / creditEvery)
    if (credit < 1) {
      this.#offence({ code: 'TooMany', about: 'rounds' })
      return
    }
    this.#set({ credit: credit - 1, creditAt: now })
    const refused = refuseFilter(filter)
    if (refused) {
      this.#offence(refused)
      return
    }
    const tips = [...this.#held.heads()]
    const exact = filter.bits.length === 0
    const salt = random(saltBytes)
    const own = exact ? exactFilter(salt) : makeFilter(tips.map(idOf), salt, hash)
    this.#set({ ...noRound, phase: 'following', round, filter, busy: true, owed: undefined, deadline: undefined })
    this.#send({ kind: 'filter', round, filter: own })
    this.#offer(
      tips.filter((tip) => !hits(filter, tip.id, hash)),
      exact,
    )
  }

  #filterOfFollower(message: FilterMessage): void {
    if (this.session.phase !== 'asking' || message.round !== this.session.round || this.session.filter) return
    const refused = refuseFilter(message.filter)
    if (refused) {
      this.#offence(refused)
      return
    }
    this.#set({ filter: message.filter })
  }

  #offer(heads: readonly Head[], exact: boolean): void {
    // More than a round holds: any of them, other ones each time.
    const from =
      heads.length > headsPerRound ? new DataView(this.#around.random(4).slice().buffer).getUint32(0) % heads.length : 0
    const offered = [...heads.slice(from), ...heads.slice(0, from)].slice(0, headsPerRound)
    this.#set({ offered, answered: new Map(), asked: [] })
    const names = offered.map(
      (head): Name => (exact ? head : { chain: shortChain(head.chain), seq: head.seq, id: shortId(head.id) }),
    )
    const { round } = this.session
    const runs = headsInMessages(names)
    if (runs.length === 0) this.#send({ kind: 'heads', round, more: false, heads: [] })
    for (const [i, run] of runs.entries()) this.#send({ kind: 'heads', round, more: i < runs.length - 1, heads: run })
  }

  #heads(message: Heads): void {
    const { session } = this
    if (message.round !== session.round || session.complete) return
    if (session.leads ? session.phase !== 'asking' : session.filter === undefined) return
    const listed = [...session.listed, ...message.heads]
    if (listed.length > headsPerRound) {
      this.#offence({ code: 'TooMany', about: 'heads' })
      return
    }
    this.#set({ listed, complete: !message.more })
    if (message.more) return
    const { push, pushed, wants, named } = compareHeads(listed, this.#held)
    this.#pushIds(session.round, push, false)
    this.#set({ wanted: wants.map((want) => want.index) })
    if (!session.leads || wants.length > 0) this.#askFor(wants)
    if (!session.leads) return
    this.#set({ phase: 'fetching' })
    const { filter } = session
    // Without a filter that can be trusted, the other's heads are all there is to go by.
    if (filter === undefined) return
    const { hash } = this.#around
    const silent = [...this.#held.heads()].filter(
      (tip) => !pushed.has(tip.id) && !named.has(tip.id) && !hits(filter, tip.id, hash),
    )
    if (silent.length === 0) return
    this.#set({ awaitsWant: true })
    this.#offer(silent, filter.bits.length === 0)
  }

  #askFor(wants: readonly Wanted[]): void {
    const { round } = this.session
    this.#set({ asks: this.session.asks + 1, awaitsPush: wants.length > 0 })
    const runs = wantsInMessages(wants)
    if (runs.length === 0) this.#send({ kind: 'want', round, more: false, wants: [] })
    for (const [i, run] of runs.entries()) this.#send({ kind: 'want', round, more: i < runs.length - 1, wants: run })
  }

  #want(message: Want): void {
    const { session } = this
    if (message.round !== session.round || session.offered.length === 0) return
    const asked = [...session.asked, ...message.wants]
    if (asked.length > session.offered.length) {
      this.#offence({ code: 'TooMany', about: 'wants' })
      return
    }
    this.#set({ asked: message.more ? asked : [] })
    if (message.more) return
    const answered = new Map(session.answered)
    const ids: string[] = []
    const unknown: number[] = []
    for (const want of asked) {
      const tip = session.offered[want.index]
      const times = answered.get(want.index) ?? 0
      if (tip === undefined || times > 1) continue
      answered.set(want.index, times + 1)
      const stretch = answerWant(want, tip, this.#held)
      if (stretch) for (const id of stretch) ids.push(id)
      else if (times === 0) unknown.push(want.index)
      else for (const id of answerWant({ ...want, held: [] }, tip, this.#held) ?? []) ids.push(id)
    }
    this.#set({ answered, awaitsWant: session.awaitsWant && unknown.length > 0 })
    if (asked.length > 0) this.#pushIds(session.round, inArrivalOrder(ids, this.#held), true, unknown)
  }

  /** In as many messages as it takes; with `last` at least in one. */
  #pushIds(round: number, ids: readonly string[], last: boolean, unknown: readonly number[] = []): void {
    if (round > 0 && this.session.fresh.length > 0) {
      const answered = new Set(ids)
      this.#set({ fresh: this.session.fresh.filter((id) => !answered.has(id)) })
    }
    const runs = inFrames(ids, this.#held)
    if (runs.length === 0 && last) runs.push([])
    for (const [i, run] of runs.entries()) {
      const isLast = last && i === runs.length - 1
      this.effects.push({ kind: 'push', round, ids: run, last: isLast, unknown: isLast ? unknown : [] })
    }
  }

  #push(message: Push): void {
    if (message.commits.length > 0 || message.certificates.length > 0) {
      this.#set({ unsettled: this.session.unsettled + 1 })
      this.effects.push({ kind: 'admit', commits: message.commits, certificates: message.certificates })
      this.#stir()
    }
    const { session } = this
    if (!message.last || message.round !== session.round || !session.awaitsPush) return
    const asked = new Set(session.wanted)
    const unknown = session.asks === 1 ? [...new Set(message.unknown)].filter((index) => asked.has(index)) : []
    const wants = withLocators(unknown, session.listed, this.#held)
    if (wants.length > 0) this.#askFor(wants)
    else this.#set({ awaitsPush: false })
  }

  // Fingerprints

  /** What can be done as soon as the pipeline is through. */
  #goOn(): void {
    const { session } = this
    if (session.unsettled > 0) return
    if (session.phase === 'fetching' && !session.awaitsPush && !session.awaitsWant) this.#closeRound(session.round)
    else if (session.owed) this.#answerFingerprint(session.owed.round, session.owed.fingerprint)
  }

  #sendFingerprint(round: number): void {
    this.#pushLive(this.session.fresh)
    const fingerprint = this.#held.fingerprint()
    this.#send({ kind: 'fingerprint', round, fingerprint, moved: this.session.moved })
    this.#set({ round, mine: fingerprint, movedThen: this.session.moved, moved: false, fresh: [], busy: false })
  }

  #closeRound(round: number): void {
    this.#sendFingerprint(round)
    this.#set({ phase: 'comparing', comparisons: this.session.comparisons + 1, deadline: this.#around.now + patience })
  }

  #fingerprintOfLeader(message: FingerprintMessage): void {
    const { session } = this
    if (message.round < session.round || message.round <= session.compared) return
    this.#set({ round: message.round, owed: { round: message.round, fingerprint: message.fingerprint } })
  }

  #answerFingerprint(round: number, theirs: Uint8Array): void {
    this.#sendFingerprint(round)
    this.#set({ owed: undefined, compared: round, theirs, phase: 'following' })
    if (equalBytes(this.session.mine, theirs)) this.#level()
  }

  #fingerprintOfFollower(message: FingerprintMessage): void {
    const { session } = this
    if (message.round !== session.round) return
    if (session.phase === 'level' || session.phase === 'resting') {
      if (!equalBytes(message.fingerprint, this.#held.fingerprint())) this.#pause('compare')
      return
    }
    if (session.phase !== 'comparing') return
    if (equalBytes(session.mine, message.fingerprint)) {
      this.#level()
      return
    }
    const changed = !equalBytes(session.mine, session.before) || !equalBytes(message.fingerprint, session.theirs)
    const closesRound = session.comparisons === 1 && session.rounds > 0
    const idle = changed ? 0 : closesRound && !session.troubled ? session.idle + 1 : session.idle
    this.#set({ idle, before: session.mine, theirs: message.fingerprint })
    if (idle >= limits.idleRounds) {
      this.#send({ kind: 'rest', round: session.round })
      this.#rest()
      return
    }
    if (session.troubled) {
      this.#pause('ask')
      return
    }
    const inFlight = (message.moved || session.movedThen) && session.comparisons <= comparisonsInFlight
    if (inFlight) {
      this.#pause('compare')
      return
    }
    if (session.rounds >= roundsAtOnce) {
      this.#pause('ask')
      return
    }
    this.#ask()
  }

  #level(): void {
    this.#pushLive(this.session.fresh)
    this.#set({
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
    this.effects.push({ kind: 'level' })
  }

  #rest(): void {
    const { listed, wanted } = this.session
    const missing = wanted.flatMap((index) => listed[index]?.id ?? []).filter((id) => !this.#held.has(id))
    this.#set({ ...noRound, phase: 'resting', deadline: undefined, busy: false })
    this.effects.push({ kind: 'rest', missing })
  }

  // Time

  #pause(next: 'ask' | 'compare'): void {
    const { backoff } = this.session
    this.#set({
      phase: 'waiting',
      next,
      deadline: this.#around.now + backoff,
      backoff: Math.min(2 * backoff, longestPause),
    })
  }

  /** Something changed: a leader that rests looks again. */
  #stir(): void {
    if (!this.session.leads || this.session.phase !== 'resting') return
    this.#set({ idle: limits.idleRounds - triesFromRest, comparisons: 0 })
    this.#pause('compare')
  }

  #wake(): void {
    const { deadline, phase, next, round } = this.session
    if (deadline === undefined || this.#around.now < deadline) return
    if (phase === 'waiting' && next === 'ask') this.#ask()
    else this.#closeRound(round + 1)
  }

  #setTimer(): void {
    const { deadline, timer } = this.session
    if (deadline === undefined || (timer !== undefined && timer <= deadline)) return
    this.#set({ timer: deadline })
    this.effects.push({ kind: 'wake', after: Math.max(0, deadline - this.#around.now) })
  }

  // The pipeline

  #admitted(ids: readonly string[], origin: 'local' | 'peer' | 'other'): void {
    if (origin === 'peer') {
      this.#stir()
      return
    }
    const unknown = ids.filter((id) => !isRecent(this.session.exchanged, id))
    this.#set({ moved: true })
    if (!this.session.busy) this.#pushLive(unknown)
    else {
      // More than can wait: the next round finds them.
      const fresh = [...this.session.fresh, ...unknown]
      this.#set({ fresh: fresh.length > freshCommits ? [] : fresh })
    }
    this.#stir()
  }

  #pushLive(ids: readonly string[]): void {
    if (ids.length === 0) return
    this.#pushIds(0, ids, false)
    this.#exchanged(ids)
  }

  #exchanged(ids: readonly string[]): void {
    this.#set({ exchanged: withRecent(this.session.exchanged, ids) })
  }

  #settled(ids: readonly string[], waiting: boolean): void {
    this.#exchanged(ids)
    this.#set({ unsettled: Math.max(0, this.session.unsettled - 1) })
    if (!waiting || this.session.phase !== 'level') return
    // What was pushed live builds on something that never came: not level after all.
    if (this.session.leads) this.#pause('compare')
    else this.#sendFingerprint(this.session.round)
  }

  /** Storage mends itself, and rates recover: such a commit is offered again, by rounds with growing pauses. */
  #refused(code: Code, ids: readonly string[]): void {
    this.#send({ kind: 'refused', code, ids: ids.slice(0, limits.pendingCommits) })
    this.#trouble(code)
  }

  #theyRefused(message: Refused): void {
    this.effects.push({ kind: 'refused', code: message.code, ids: message.ids })
    this.#trouble(message.code)
  }

  #trouble(code: Code): void {
    if (!mending.has(code)) return
    this.#set({ troubled: true })
    if (this.session.leads && (this.session.phase === 'level' || this.session.phase === 'resting')) this.#pause('ask')
  }
}

const idOf = (head: Head): string => head.id
