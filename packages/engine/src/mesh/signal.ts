/**
 * Signals: what two sessions that may meet tell each other to make a channel, carried by the server or by a neighbour of both. The sender
 * signs each for one receiver, one attempt and a short time, so that whoever carries it can neither alter it nor use it again.
 *
 *     signal = [body bytes, signature (64 bytes), certificate of the sender]
 *     body   = [format, network, from, to, attempt (16 bytes), number, expires, kind, content]
 *     0 ask  = urgent        the receiver is to make the offer, since its session comes first
 *     1 path = [bytes, ...]  what the transport at this end has for the one at the other end
 *     2 no   = reason        there will be no channel now
 *
 * The attempt is named by whoever wants the channel. The numbers of one end in one attempt are 0, 1, 2 ...
 */
import { fromHex, toHex } from '../bytes/bytes.ts'
import { decode, encode } from '../bytes/cbor.ts'
import { limits } from '../bytes/limits.ts'
import type { Plain } from '../bytes/plain.ts'
import { isRefusal, type Refusal, refusal } from '../bytes/refusal.ts'
import { isBoolean, isBytes, isBytesUpTo, isInteger, isList, isListOf } from '../bytes/shape.ts'
import { format } from '../commit/commit.ts'

export interface SignalBody {
  readonly network: string
  /** Sessions. */
  readonly from: string
  readonly to: string
  /** 16 bytes, hex. */
  readonly attempt: string
  readonly number: number
  /** ms since 1970 */
  readonly expires: number
  readonly content: SignalContent
}

export type SignalContent =
  | { readonly kind: 'ask'; readonly urgent: boolean }
  | { readonly kind: 'path'; readonly parts: readonly Uint8Array[] }
  | { readonly kind: 'no'; readonly reason: Decline }

/** It has as many channels as it wants; it stopped trying; or it cannot make any. */
export type Decline = 'full' | 'gave up' | 'unable'

export interface Signal extends SignalBody {
  readonly body: Uint8Array
  readonly signature: Uint8Array
  readonly certificate: Uint8Array
}

export const attemptBytes = 16
/** How long a signal holds, ms. */
export const signalLife = 30_000
/** Signals of one end in one attempt: each brings at least one part. */
export const mostSignals = limits.candidates + 8
/** Of all parts in one signal. */
export const partsBytes = 2 * limits.signalBytes
const declines: readonly Decline[] = ['full', 'gave up', 'unable']
const certificateBytes = 2_048
/** Of a whole signal: what carries it carries no more. */
export const mostSignalBytes = partsBytes + 2 * certificateBytes

export const encodeSignalBody = (signal: SignalBody): Uint8Array => {
  const { content } = signal
  const [kind, fields]: [number, Plain] =
    content.kind === 'ask'
      ? [0, content.urgent]
      : content.kind === 'path'
        ? [1, [...content.parts]]
        : [2, declines.indexOf(content.reason)]
  return encode([
    format,
    fromHex(signal.network),
    fromHex(signal.from),
    fromHex(signal.to),
    fromHex(signal.attempt),
    signal.number,
    signal.expires,
    kind,
    fields,
  ])
}

export const sealSignal = (body: Uint8Array, signature: Uint8Array, certificate: Uint8Array): Uint8Array =>
  encode([body, signature, certificate])

const readContent = (kind: Plain | undefined, content: Plain | undefined): SignalContent | undefined => {
  if (kind === 0) return isBoolean(content) ? { kind: 'ask', urgent: content } : undefined
  if (kind === 1) {
    const isPart = (part: Plain): part is Uint8Array => isBytesUpTo(part, limits.signalBytes)
    return isListOf(content, 1, mostSignals, isPart) ? { kind: 'path', parts: content } : undefined
  }
  const reason = isInteger(content, 0) ? declines[content] : undefined
  return kind === 2 && reason !== undefined ? { kind: 'no', reason } : undefined
}

/** Reads a signal; its signature and its certificate are checked elsewhere. */
export const readSignal = (bytes: Uint8Array): Signal | Refusal => {
  if (bytes.length > mostSignalBytes) return refusal('TooLarge', 'signal')
  const malformed = refusal('Malformed', 'signal')
  const outer = decode(bytes)
  if (isRefusal(outer)) return outer
  if (!isList(outer, 3, 3)) return malformed
  const [body, signature, certificate] = outer
  if (!isBytes(body) || !isBytes(signature, 64) || !isBytesUpTo(certificate, certificateBytes)) return malformed
  const list = decode(body)
  if (isRefusal(list)) return list
  if (!isList(list, 9, 9)) return malformed
  const [version, network, from, to, attempt, number, expires, kind, fields] = list
  if (version !== format) return isInteger(version, 0) ? refusal('UnknownFormat', 'signal') : malformed
  if (!isBytes(network, 32) || !isBytes(from, 32) || !isBytes(to, 32) || !isBytes(attempt, attemptBytes))
    return malformed
  const content = readContent(kind, fields)
  if (!isInteger(number, 0, mostSignals) || !isInteger(expires, 0) || content === undefined) return malformed
  return {
    network: toHex(network),
    from: toHex(from),
    to: toHex(to),
    attempt: toHex(attempt),
    number,
    expires,
    content,
    body,
    signature,
    certificate,
  }
}
