/**
 * Why no channel came of an attempt, from what was seen of it. Nobody says so: the platform reports that no pair of candidates worked,
 * after a while, and nothing else. The kinds are told apart so that a person is told what to do about it.
 */
import type { PathFailure } from '@weft-db/engine'

/** What was seen of an attempt until it failed. */
export interface Sight {
  /** There is WebRTC here. */
  supported: boolean
  /** A TURN server is named. */
  turn: boolean
  relayOnly: boolean
  /** Own candidates were looked for, and nothing more is to be found. */
  gathering: boolean
  complete: boolean
  /** Types of own candidates that were found. */
  readonly gathered: Set<string>
  /** STUN error codes (RFC 8489) that TURN servers gave; 701 where one did not answer at all. */
  readonly turnErrors: Set<number>
  /** The other end described itself. */
  answered: boolean
  /** Candidates that the other end named. */
  heard: number
  /** A signal was refused, here or by the platform. */
  refused: boolean
  /** A pair of candidates worked. */
  connected: boolean
  /** It ended otherwise than by running out of time or candidates. */
  died: boolean
}

export const unseen = (): Sight => ({
  supported: true,
  turn: false,
  relayOnly: false,
  gathering: false,
  complete: false,
  gathered: new Set(),
  turnErrors: new Set(),
  answered: false,
  heard: 0,
  refused: false,
  connected: false,
  died: false,
})

export const failureOf = (sight: Sight): PathFailure['kind'] => {
  if (!sight.supported) return 'unsupported'
  if (sight.connected) return 'broke'
  if (sight.refused && (sight.died || !sight.answered)) return 'refused'
  if (sight.died) return 'broke'
  if (sight.relayOnly && !sight.turn) return 'no TURN'
  if (sight.gathering && sight.gathered.size === 0) return turnFailureOf(sight) ?? 'no candidates'
  if (!sight.answered) return 'no answer'
  if (!sight.turn) return 'no TURN'
  return (sight.gathered.has('relay') ? undefined : turnFailureOf(sight)) ?? 'blocked'
}

/** A server that is silent is given up after about ten seconds, and until then the search is not complete. */
const turnFailureOf = ({ turn, turnErrors, complete }: Sight): PathFailure['kind'] | undefined => {
  if (turnErrors.has(401)) return 'bad credentials'
  return turnErrors.has(701) || (turn && !complete) ? 'TURN unreachable' : undefined
}

/** What was seen, in one line, after what the platform said. */
export const detailOf = (sight: Sight, said: string): string => {
  const own = sight.gathered.size === 0 ? 'none' : [...sight.gathered].sort((a, b) => (a < b ? -1 : 1)).join(', ')
  const errors = sight.turnErrors.size === 0 ? '' : `; TURN errors: ${[...sight.turnErrors].join(', ')}`
  return `${said}; own candidates: ${own}; the other end: ${sight.answered ? `${sight.heard} candidates` : 'silent'}${errors}`
}
