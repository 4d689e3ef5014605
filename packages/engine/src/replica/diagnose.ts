/**
 * Why there is no channel straight to a peer, in words for people: what is wrong, and what to do about it. The two go on through the server
 * or through others meanwhile, so nothing here is urgent. The platform tells little; where several causes look the same, the likeliest is
 * named first.
 */
import type { Decline } from '../mesh/signal.ts'
import type { Path } from './mesh.ts'
import type { PathFailure } from './ports.ts'
import type { Status } from './status.ts'

/** `superseded`: another attempt took the place of this one. `silent`: the other end is there no more, or its tab is frozen.
 * `stale`: of the view of the server's logs (`Status.authStale`), not of a path. */
export type Trouble = PathFailure['kind'] | Decline | 'superseded' | 'silent' | 'stale'

export interface Diagnosis {
  readonly kind: Trouble
  readonly sentence: string
  readonly advice: string
}

const told: Readonly<Record<Trouble, readonly [sentence: string, advice: string]>> = {
  unsupported: [
    'This browser does not offer WebRTC, or something in it switched that off.',
    'Allow WebRTC in its settings or extensions, or use another browser.',
  ],
  unable: [
    'The other device takes part in no mesh: it has no WebRTC, or was told not to use it.',
    'Nothing can be done on this side; the server connects you.',
  ],
  'no candidates': [
    'No address was found under which this device can be reached.',
    'See whether it is on a network, and whether a browser setting or extension hides its addresses from WebRTC.',
  ],
  'no answer': [
    'The other device does not answer.',
    'Its tab may be closed, frozen or without a network; a tab in the background answers when it is looked at again.',
  ],
  blocked: [
    'Both devices have addresses, but no packet passes between them.',
    'A firewall blocks UDP, probably: offer a TURN server over TCP or TLS on port 443.',
  ],
  'no TURN': [
    'The two networks let no direct connection through, and no TURN server is there to pass it on.',
    'Name a TURN server in the settings of the server.',
  ],
  'bad credentials': [
    'The TURN server refused the credentials that the server gave for it.',
    'Give both the same secret, and see that their clocks agree.',
  ],
  'TURN unreachable': [
    'The TURN server does not answer.',
    'See that it runs, that its name leads to it, and that no firewall stands before its ports.',
  ],
  refused: [
    'What the two devices told each other to connect was not in order: it came too late, twice, or from another attempt.',
    'It is tried again; if it happens always, one of the two runs an old version of this app.',
  ],
  superseded: ['Both began at once, and another attempt took the place of this one.', 'Nothing needs to be done.'],
  broke: [
    'The connection broke.',
    'It is made again shortly; if it breaks again and again, the network is bad or changes.',
  ],
  silent: [
    'The other device fell silent: its tab is frozen, its screen is off, or its network is gone.',
    'It connects again when its tab is looked at.',
  ],
  full: [
    'The other device has as many direct connections as it wants.',
    'Nothing needs to be done: its neighbours pass on what you write.',
  ],
  stale: [
    'The server is away, and none of those who are here has brought any news of it for some minutes.',
    'What was taken away, or ended, since then is not known here: reach the server, or somebody who does.',
  ],
  'gave up': [
    'The other device stopped trying, because it found no way to this one.',
    'It is tried again later; that device may say more about the cause.',
  ],
}

/** Reasons for which channels close, by what is told of them (`Silent` and `Superseded` of the catalogue; what transports say). */
const closings: readonly (readonly [reason: RegExp, kind: Trouble])[] = [
  [/supersed|took its place|took the place/i, 'superseded'],
  [/silent|not been heard|frozen|the page was left/i, 'silent'],
]

const troubleOf = (failure: Decline | PathFailure): Trouble => {
  if (typeof failure === 'string') return failure
  const { kind, detail } = failure
  if (kind !== 'broke') return kind
  return closings.find(([reason]) => reason.test(detail))?.[1] ?? kind
}

const diagnosisOf = (kind: Trouble): Diagnosis => {
  const [sentence, advice] = told[kind]
  return { kind, sentence, advice }
}

/**
 * What became of the last attempt at a path; undefined while there is a channel, or while nothing went wrong yet. Of a status: whether what
 * is known of the server's logs is too old.
 */
export const diagnose = (of: Pick<Path, 'kind' | 'failure'> | Pick<Status, 'authStale'>): Diagnosis | undefined => {
  if ('authStale' in of) return of.authStale === undefined ? undefined : diagnosisOf('stale')
  const { kind, failure } = of
  if (failure === undefined || kind === 'direct' || kind === 'relayed') return undefined
  return diagnosisOf(troubleOf(failure))
}
