/**
 * A small file beside a log that says how much of it is stored for certain. Whoever finds it to be true of all that the log holds need not
 * copy it to open it, nor wait for its sync. It is a cache, written after what it says has come true and synced by nobody: absent, torn or of
 * an earlier state it costs an opening what it costs without.
 */
import { decode, encode } from '../bytes/cbor.ts'
import { format } from '../commit/commit.ts'
import { encodeFrame, frameKinds, scan } from '../log/frame.ts'
import type { Known } from './journal.ts'
import type { Files } from './ports.ts'

/** A seal takes less. */
const mostBytes = 256

const sealName = (log: string): string => `${log}.seal`

/** Undefined where there is none that can be read. */
export const readSeal = async (files: Files, log: string): Promise<Known | undefined> => {
  try {
    const file = await files.open(sealName(log), false)
    if (file === undefined) return undefined
    try {
      return sealIn(await file.read(0, mostBytes))
    } finally {
      // Nobody has to wait for it.
      file.close().catch(() => undefined)
    }
  } catch {
    return undefined
  }
}

export const encodeSeal = ({ size, checksum }: Known): Uint8Array =>
  encodeFrame(frameKinds.header, encode([format, size, checksum]))

/** Undefined for bytes that are none. */
export const sealIn = (bytes: Uint8Array): Known | undefined => {
  const [frame] = scan(bytes).frames
  if (frame === undefined || frame.offset !== 0 || frame.end !== bytes.length) return undefined
  const fields = decode(frame.payload)
  const [of, size, checksum] = Array.isArray(fields) ? fields : []
  if (of !== format || typeof size !== 'number' || typeof checksum !== 'number') return undefined
  return Number.isSafeInteger(size) && size > 0 ? { size, checksum } : undefined
}

/** The first so many bytes of the log are stored, under its name. */
export const writeSeal = async (files: Files, log: string, known: Known): Promise<void> => {
  const bytes = encodeSeal(known)
  const file = await files.open(sealName(log), true)
  try {
    await file?.truncate(0)
    await file?.write(0, bytes)
  } finally {
    await file?.close()
  }
}
