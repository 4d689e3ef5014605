/**
 * One log file, byte for byte: every byte belongs to a whole frame that is written as this version writes it, the first frame is the
 * header, the name goes with the path, and nothing stands there twice.
 */
import { encodeUtf8, equalBytes, toHex } from '../../bytes/bytes.ts'
import { decode, type Plain } from '../../bytes/cbor.ts'
import { isRefusal } from '../../bytes/refusal.ts'
import { format, type Hash } from '../../commit/commit.ts'
import { encodeFrame, type Frame, frameKinds, scan } from '../../log/frame.ts'
import { rootPath } from '../../trust/entry.ts'
import type { Tell } from './report.ts'

export interface Header {
  /** Hex; null in the root log, whose first entry makes the network. */
  readonly network: string | null
  readonly path: string
}

export interface LogFile {
  readonly header: Header | undefined
  /** All whole frames after the header. */
  readonly frames: readonly Frame[]
  /** End of the last whole frame. */
  readonly good: number
}

const known = new Set<number>(Object.values(frameKinds))

const readHeader = (payload: Uint8Array): Header | undefined => {
  const decoded = decode(payload)
  if (isRefusal(decoded) || !Array.isArray(decoded) || decoded.length !== 4) return undefined
  const [version, network, path, store] = decoded as readonly Plain[]
  if (version !== format || typeof path !== 'string') return undefined
  if (!(store instanceof Uint8Array) || store.length !== 16) return undefined
  if (path === rootPath) return network === null ? { network, path } : undefined
  return network instanceof Uint8Array && network.length === 32 ? { network: toHex(network), path } : undefined
}

/** `isGrowing`: a program is writing, so what follows the last whole frame may be a frame under way. */
export const readLog = (name: string, bytes: Uint8Array, hash: Hash, tell: Tell, isGrowing: boolean): LogFile => {
  const { frames, good, damage, torn } = scan(bytes)
  for (const { from, to } of damage) tell('LogCorrupt', from, `bytes ${from} to ${to}`)
  if (bytes.length === 0) tell('TornTail', 0, 'the file is empty')
  else if (torn && !isGrowing) tell('TornTail', good, `bytes ${good} to ${bytes.length}`)
  const seen = new Set<string>()
  for (const { kind, payload, offset } of frames) {
    const frame = encodeFrame(kind, payload)
    if (!equalBytes(frame, bytes.subarray(offset, offset + frame.length)))
      tell('NotCanonical', offset, 'a frame that this version writes otherwise')
    if (!known.has(kind)) tell('UnknownMessage', offset, `a frame of kind ${kind}`)
    const id = `${kind} ${toHex(hash(payload))}`
    if (seen.has(id)) tell('Repeated', offset, `a frame of kind ${kind}`)
    seen.add(id)
  }
  const [first, ...rest] = frames
  const header = first?.kind === frameKinds.header && first.offset === 0 ? readHeader(first.payload) : undefined
  if (header === undefined) tell('Malformed', 0, 'the header of the file')
  else if (name !== `${toHex(hash(encodeUtf8(header.path)))}.log`) tell('WrongName', 0, header.path)
  for (const { kind, offset } of header === undefined ? [] : rest)
    if (kind === frameKinds.header) tell('Malformed', offset, 'a second header')
  return { header, frames: first?.kind === frameKinds.header ? rest : frames, good }
}
