/**
 * The floor of a log: what stands in it in the place of the commits that were dropped. It is a snapshot of one moment, the checkpoint that covers all of
 * them, cut into frames behind the log's header. Unlike a snapshot it is no cache: nothing else here says what it says.
 *
 *     payload  = number of the piece, pieces, piece of the snapshot
 *     recalled = hash of the schema (32), item key      a frame of its own: nothing of the floor is for this item, whose commits are in the log again
 */
import { concatBytes, decodeUtf8, encodeUtf8, fromHex, hexAt } from '../bytes/bytes.ts'
import { Cursor } from '../bytes/cursor.ts'
import { Sink } from '../bytes/sink.ts'
import { LoggedCommits } from '../graph/logged.ts'
import { type Framed, frameKinds } from '../log/frame.ts'
import type { ItemName } from '../sync/recall.ts'
import { readSnapshot, type Snapshot } from './snapshot.ts'

const pieceBytes = 262_144

export const floorFrames = (snapshot: Uint8Array): readonly Framed[] => {
  const pieces = Math.ceil(snapshot.length / pieceBytes)
  return Array.from({ length: pieces }, (_, place) => {
    const piece = snapshot.subarray(place * pieceBytes, (place + 1) * pieceBytes)
    const sink = new Sink(16 + piece.length)
    sink.varint(place)
    sink.varint(pieces)
    sink.put(piece)
    return { kind: frameKinds.floor, payload: sink.take() }
  })
}

/** What the frames hold; undefined where some of it is missing. */
export const readFloor = (frames: readonly Framed[]): Snapshot | undefined => {
  const pieces: Uint8Array[] = []
  let wanted = 0
  for (const { payload } of frames) {
    const cursor = new Cursor(payload)
    const place = cursor.varint()
    wanted = cursor.varint()
    if (cursor.bad || place !== pieces.length) return undefined
    pieces.push(payload.subarray(cursor.at))
  }
  return pieces.length === 0 || pieces.length !== wanted ? undefined : readSnapshot(concatBytes(...pieces))
}

/** The commits that it still names. */
export const droppedCommits = ({ ids, columns }: Snapshot): LoggedCommits | undefined => {
  const commits = LoggedCommits.read(ids, columns, () => ({ starts: [], read: () => [] }))
  return commits?.dropped === commits?.size ? commits : undefined
}

const hashBytes = 32

export const encodeRecalled = ({ schema, key }: ItemName): Uint8Array => concatBytes(fromHex(schema), encodeUtf8(key))

export const readRecalled = (payload: Uint8Array): ItemName | undefined => {
  const key = payload.length > hashBytes ? decodeUtf8(payload.subarray(hashBytes)) : undefined
  return key === undefined ? undefined : { schema: hexAt(payload, 0, hashBytes), key }
}
