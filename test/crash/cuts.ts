/**
 * The power fails while the tail of a log is being written: at every byte, and whatever the disk made of what was behind it. The whole
 * frames before the cut are there, in order, nothing else is made up, what was cut is kept aside, and the log goes on.
 */
import { Stream } from '../sim/random.ts'
import { appended, type Image, openDamaged, same } from './image.ts'

/** Bytes of the tail that is cut, and the sector that a disk writes whole or not at all. */
const tail = 65_536
const sector = 512

/** What lies behind the cut afterwards: nothing; zeros; or what the disk wrote out of order, sector by sector. */
const models = ['lost', 'zeros', 'reordered'] as const

export interface Cuts {
  readonly cuts: number
  readonly wrong: number
  /** The first that was wrong. */
  readonly first: string | undefined
}

/** Cuts at every `step`-th byte of the tail. */
export const cutEverywhere = async (image: Image, seed: string, step: number): Promise<Cuts> => {
  let [cuts, wrong] = [0, 0]
  let first: string | undefined
  const from = Math.max(0, image.bytes.length - tail)
  for (let cut = from; cut <= image.bytes.length; cut += step) {
    for (const model of models) {
      const why = await wrongOf(image, left(image.bytes, cut, model, seed), cut)
      cuts++
      if (why === undefined) continue
      wrong++
      first ??= `cut at ${cut}, ${model}: ${why}`
    }
  }
  return { cuts, wrong, first }
}

const left = (whole: Uint8Array, cut: number, model: (typeof models)[number], seed: string): Uint8Array => {
  if (model === 'lost') return whole.subarray(0, cut)
  const bytes = whole.slice()
  bytes.fill(0, cut)
  if (model === 'zeros') return bytes
  const random = new Stream(seed, `cut ${cut}`)
  for (let at = Math.ceil(cut / sector) * sector; at < bytes.length; at += sector)
    if (random.chance(0.5)) bytes.set(whole.subarray(at, at + sector), at)
  return bytes
}

const wrongOf = async (
  { bytes, frames, ends }: Image,
  damaged: Uint8Array,
  cut: number,
): Promise<string | undefined> => {
  // What was written out of order may happen to be what was there.
  let intact = Math.min(cut, damaged.length)
  while (intact < damaged.length && damaged[intact] === bytes[intact]) intact++
  const kept = ends.filter((end) => end <= intact).length
  const found = await openDamaged(damaged)
  // The header is not among the frames that an opening gives.
  const expected = frames.slice(1, Math.max(1, kept))
  for (const [index, frame] of expected.entries())
    if (!same(found.frames[index], frame)) return `frame ${index + 1} of ${kept} before the cut is gone`
  const originals = new Map(frames.map((frame) => [frame.offset, frame]))
  for (const frame of found.frames.slice(expected.length))
    if (!same(frame, originals.get(frame.offset))) return `a frame at ${frame.offset} was never written`
  const behind = found.frames.length > expected.length
  if (behind && found.damage.length === 0) return 'a hole was not reported'
  const last = found.frames.at(-1)
  const end = ends[last === undefined ? kept - 1 : frames.findIndex(({ offset }) => offset === last.offset)]
  const aside = damaged.subarray(end ?? 0)
  if (aside.length > 0 && Buffer.compare(found.aside ?? new Uint8Array(0), aside) !== 0)
    return `${aside.length} bytes behind the last frame were not kept aside`
  const { later } = found
  if (later.length !== found.frames.length + 1 || !same(later.at(-1), appended)) return 'the log did not go on'
  return undefined
}
