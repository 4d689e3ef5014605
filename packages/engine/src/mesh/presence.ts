/**
 * Who is here, and where: what a session says of itself to all who have the same repository open. It is signed, so that whoever passes it on
 * can alter nothing, and stored nowhere. Messages of `sync` (`sync/message.ts`) with numbers of their own.
 *
 *     16 present = session, number, state | null, signature (64 bytes)     the higher number holds; null: it left
 *     17 gone    = session, number                                         its channel to the sender is gone, and nothing later was heard
 *
 * Signed is [format, network, repository path, session, number, state].
 */
import { fromHex, toHex } from '../bytes/bytes.ts'
import { encode } from '../bytes/cbor.ts'
import { limits } from '../bytes/limits.ts'
import type { Plain } from '../bytes/plain.ts'
import { type Refusal, refusal } from '../bytes/refusal.ts'
import { isBytes, isInteger, isList, isMap } from '../bytes/shape.ts'
import { format } from '../commit/commit.ts'

/** By the name of a field; undefined when the session left. */
export type PresentState = ReadonlyMap<string, Plain> | undefined

export interface Present {
  readonly kind: 'present'
  readonly session: string
  readonly number: number
  readonly state: PresentState
  readonly signature: Uint8Array
}

export interface Gone {
  readonly kind: 'gone'
  readonly session: string
  readonly number: number
}

const first = 16
const mostFields = 32

/** What is signed. */
export const presenceBody = (
  network: string,
  path: string,
  { session, number, state }: Pick<Present, 'session' | 'number' | 'state'>,
): Uint8Array => encode([format, fromHex(network), path, fromHex(session), number, state ?? null])

export const encodePresence = (word: Present | Gone): Plain =>
  word.kind === 'gone'
    ? [first + 1, fromHex(word.session), word.number]
    : [first, fromHex(word.session), word.number, word.state ?? null, word.signature]

/** Undefined where it is a message of another kind. */
export const decodePresence = (message: Plain): Present | Gone | Refusal | undefined => {
  if (!isList(message, 1, 6) || (message[0] !== first && message[0] !== first + 1)) return undefined
  const [kind, session, number, state, signature] = message
  if (!isBytes(session, 32) || !isInteger(number, 0)) return refusal('Malformed', 'presence')
  if (kind === first + 1)
    return message.length === 3 ? { kind: 'gone', session: toHex(session), number } : refusal('Malformed', 'presence')
  if (message.length !== 5 || !isBytes(signature, 64) || (state !== null && !isMap(state, mostFields)))
    return refusal('Malformed', 'presence')
  if (state !== null && encode(state).length > limits.presenceBytes) return refusal('TooLarge', 'presence')
  return { kind: 'present', session: toHex(session), number, state: state ?? undefined, signature }
}
