import type { Refusal } from '../bytes/refusal.ts'
import type { Hash } from '../commit/commit.ts'
import { inFrames } from './answer.ts'
import { spareOfFollower, spareOfLeader, takeBytes, takeRound } from './credit.ts'
import { salted } from './fingerprint.ts'
import type { Held } from './held.ts'
import { type Keys, keysOf } from './keyed.ts'
import type { FilterMessage, Message, SumsMessage } from './message.ts'
import { withRecent } from './recent.ts'
import type { Effect, Session } from './session.ts'

export interface Surroundings {
  /** Monotonic, ms. */
  readonly now: number
  readonly random: (length: number) => Uint8Array
  /** SHA-256. */
  readonly hash: Hash
}

/** A leader that hears nothing for so long begins another round, ms. */
export const patience = 60_000

/** What every round begins from. */
export const noRound = {
  rung: 'none',
  sketched: 0,
  vector: undefined,
  unsent: undefined,
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
  kept: new Map(),
  postponed: undefined,
} satisfies Partial<Session>

/** One step under way: the session it began from, which is never changed, or its copy, which is; and the effects so far. */
export class Turn {
  #session: Session
  #isCopy = false
  readonly effects: Effect[] = []
  readonly held: Held
  readonly around: Surroundings

  constructor(session: Session, held: Held, around: Surroundings) {
    this.#session = session
    this.held = held
    this.around = around
  }

  get session(): Session {
    return this.#session
  }

  /** Copied once: a session has many fields, and a push that came alone sets some of them six times. */
  set(changes: Partial<Session>): void {
    if (!this.#isCopy) this.#session = { ...this.#session }
    this.#isCopy = true
    Object.assign(this.#session, changes)
  }

  send(message: Message): void {
    this.effects.push({ kind: 'send', message })
  }

  offence(refused: Refusal, evidence?: readonly Uint8Array[]): void {
    this.effects.push({ kind: 'offence', ...refused, ...(evidence && { evidence }) })
  }

  /** Of what is held now, as this conversation shows it. */
  fingerprint(): Uint8Array {
    return salted(this.session.salt, this.held.fingerprint(), this.around.hash)
  }

  keys(round: number): Keys {
    return keysOf(this.session.salt, round)
  }
}

/**
 * In as many messages as it takes; with `last` at least in one. What the peer's credit does not allow is left out, but for what
 * is pushed live, which nobody asked for.
 */
export const pushIds = (
  turn: Turn,
  round: number,
  ids: readonly string[],
  last: boolean,
  unknown: readonly number[] = [],
): void => {
  const runs = withinCredit(turn, inFrames(ids, turn.held), round === 0)
  if (round > 0 && turn.session.fresh.length > 0) {
    const answered = new Set(runs.flat())
    turn.set({ fresh: turn.session.fresh.filter((id) => !answered.has(id)) })
  }
  if (runs.length === 0 && last) runs.push([])
  for (const [i, run] of runs.entries()) {
    const isLast = last && i === runs.length - 1
    turn.effects.push({ kind: 'push', round, ids: run, last: isLast, unknown: isLast ? unknown : [] })
  }
}

const withinCredit = (turn: Turn, runs: string[][], always: boolean): string[][] => {
  for (const [i, run] of runs.entries()) if (!takeCredit(turn, run, always)) return runs.slice(0, i)
  return runs
}

const takeCredit = (turn: Turn, ids: readonly string[], always: boolean): boolean => {
  const { held, around, session } = turn
  const terms = { held, now: around.now, spare: session.leads ? spareOfLeader : spareOfFollower, always }
  let bytes = 0
  for (const id of ids) bytes += held.size(id)
  const credit = takeBytes(session.credit, bytes, terms)
  if (credit !== undefined) turn.set({ credit })
  return credit !== undefined
}

export const pushLive = (turn: Turn, ids: readonly string[]): void => {
  if (ids.length === 0) return
  pushIds(turn, 0, ids, false)
  exchanged(turn, ids)
}

/** The same, when they went out without a step. */
export const pushedLive = (turn: Turn, ids: readonly string[]): void => {
  takeCredit(turn, ids, true)
  exchanged(turn, ids)
}

export const exchanged = (turn: Turn, ids: readonly string[]): void => {
  turn.set({ exchanged: withRecent(turn.session.exchanged, ids) })
}

/**
 * Whether the follower answers this round now. What comes too early is answered as soon as there is credit for it; a leader
 * that does not wait for that offends, and so does whoever opens too often.
 */
export const mayBegin = (turn: Turn, message?: FilterMessage | SumsMessage): boolean => {
  const { now } = turn.around
  const { postponed } = turn.session
  const credit = takeRound(turn.session.credit, turn.held, now)
  if (typeof credit !== 'number') turn.set({ credit })
  else if (message !== undefined && postponed === undefined) turn.set({ postponed: message, deadline: now + credit })
  else if (message === undefined || message.round !== postponed?.round)
    turn.offence({ code: 'TooMany', about: 'rounds' })
  return typeof credit !== 'number'
}
