/** Bits that rot: each one that flips is noticed, costs its frame and no other, and nothing altered is read. */
import { type Image, openDamaged, same } from './image.ts'

export interface Flips {
  readonly flipped: number
  readonly detected: number
  /** Frames that were lost or altered beside the one that was hit. */
  readonly wrong: number
  readonly first: string | undefined
}

/** Flips every `step`-th bit of the log, one at a time. */
export const flipEverywhere = async (image: Image, step: number): Promise<Flips> => {
  let [flipped, detected, wrong] = [0, 0, 0]
  let first: string | undefined
  for (let bit = 0; bit < image.bytes.length * 8; bit += step) {
    const bytes = image.bytes.slice()
    const at = bit >> 3
    bytes[at] = (bytes[at] ?? 0) ^ (1 << (bit & 7))
    const found = await openDamaged(bytes)
    const hit = image.ends.findIndex((end) => at < end)
    flipped++
    // A frame at the end of the log looks like one that was being written: it is cut and kept aside.
    const isDetected = found.damage.some(({ from, to }) => from <= at && at < to) || found.aside !== undefined
    if (isDetected) detected++
    const expected = image.frames.filter((_, index) => index > 0 && index !== hit)
    const isExact =
      found.frames.length === expected.length && found.frames.every((frame, index) => same(frame, expected[index]))
    if (!isExact) wrong++
    if (!isDetected || !isExact) first ??= `bit ${bit} in frame ${hit}: ${isDetected ? '' : 'not '}detected`
  }
  return { flipped, detected, wrong, first }
}
