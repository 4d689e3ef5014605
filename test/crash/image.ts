/** A log as an authority leaves it, for the tools of this folder to damage; and what an opening makes of the damaged one. */
import { logName, type Refusal } from '@weft-db/engine'
import { memoryFiles } from '@weft-db/storage/memory'
import { type Frame, type Hole, scan } from '../../packages/engine/src/log/frame.ts'
import { Journal } from '../../packages/engine/src/replica/journal.ts'
import { board, Card, Lab } from '../road/lab.ts'

export interface Image {
  readonly bytes: Uint8Array
  /** The header among them. */
  readonly frames: readonly Frame[]
  /** Where each frame ends; the last ends with the file. */
  readonly ends: readonly number[]
}

const name = 'log'

/** The log of a repository that two people wrote in, of at least so many bytes. */
export const imageOf = async (seed: string, least: number): Promise<Image> => {
  const lab = new Lab(seed)
  const authority = await lab.authority()
  const people = [await lab.join('ada', { captureRate: 1_000 }), await lab.join('bob', { captureRate: 1_000 })]
  const random = lab.world.stream('texts')
  const { disk } = lab.device('authority')
  const log = logName(board, lab.runtime('authority'))
  const stored = (): Uint8Array => disk.storedFile(log) ?? new Uint8Array(0)
  while (stored().length < least) {
    for (const { database } of people) {
      const repository = database.repository(board)
      for (let count = 1 + random.int(4); count > 0; count--)
        repository.create(Card, { title: `${random.unit()} `.repeat(1 + random.int(8)) })
      repository.flush()
    }
    await lab.run(50 + random.int(3_000))
  }
  lab.kill('authority')
  void authority
  const bytes = stored().slice()
  const { frames } = scan(bytes)
  const ends = frames.map((_, index) => frames[index + 1]?.offset ?? bytes.length)
  return { bytes, frames, ends }
}

export interface Found {
  readonly frames: readonly Frame[]
  readonly damage: readonly Hole[]
  readonly incidents: readonly Refusal[]
  /** The bytes that were kept aside, if any. */
  readonly aside: Uint8Array | undefined
  /** What the next opening finds, after one more append. */
  readonly later: readonly Frame[]
}

/** A frame of no kind that a log has, appended to a damaged log. */
export const appended = { kind: 99, payload: new TextEncoder().encode('appended behind the damage') }

/** Opens a log, appends to it, and opens it again. */
export const openDamaged = async (bytes: Uint8Array): Promise<Found> => {
  const files = memoryFiles()
  const made = await files.open(name, true)
  await made?.write(0, bytes)
  await made?.close()
  const incidents: Refusal[] = []
  const options = { header: new Uint8Array(8), onIncident: (incident: Refusal) => incidents.push(incident) }
  const { journal, frames, damage } = await Journal.open(files, name, options)
  await journal.append([appended])
  await journal.close()
  const again = await Journal.open(files, name, { ...options, onIncident: () => undefined })
  await again.journal.close()
  const torn = await files.open(`${name}.torn`, false)
  const aside = await torn?.read(0, Number.MAX_SAFE_INTEGER)
  return { frames, damage, incidents, aside, later: again.frames }
}

/** Whether two frames hold the same bytes. */
export const same = (one: Frame | undefined, other: Pick<Frame, 'kind' | 'payload'> | undefined): boolean =>
  one !== undefined &&
  other !== undefined &&
  one.kind === other.kind &&
  Buffer.compare(one.payload, other.payload) === 0
