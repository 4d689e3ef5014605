/** Rot and tampering on disk: any byte of a store's folder is changed, and the audit has to report it. */
import { type AuditSource, audit } from '@weft-db/engine'
import { nodeRuntime } from '@weft-db/runtime/node'
import { filesOf, makeStore, remembering, sourceOf } from '../../road/store.ts'
import { Stream } from '../../sim/random.ts'
import { mustHold, type Outcome } from '../row.ts'

/** The files with one byte changed by `mask`. */
export const flipped = (
  files: ReadonlyMap<string, Uint8Array>,
  name: string,
  at: number,
  mask: number,
): AuditSource => {
  const bytes = Uint8Array.from(files.get(name) ?? [])
  bytes[at] = (bytes[at] ?? 0) ^ mask
  return sourceOf(new Map([...files, [name, bytes]]))
}

/**
 * Changes a byte a trial, by a mask drawn from the seed: every byte of the folder in turn when there are as many trials, else bytes drawn
 * from the seed too. A violation is a change after which the audit finds nothing.
 */
export const flippedBytes = async ({ trials, seed }: { trials: number; seed: string }): Promise<Outcome> => {
  const store = await makeStore(8)
  const files = await filesOf(store.server)
  await store.remove()
  const runtime = remembering(nodeRuntime())
  const whole = await audit(sourceOf(files), { runtime, network: store.network })
  const places = [...files].flatMap(([name, { length }]) => Array.from({ length }, (_, at) => ({ name, at })))
  const draws = new Stream(`${seed}`, 'flipped bytes')
  const missed: string[] = []
  for (let trial = 0; trial < trials; trial++) {
    const drawn = draws.uint32() % places.length
    const mask = 1 + (draws.uint32() % 255)
    const place = places[trials >= places.length ? trial % places.length : drawn]
    if (place === undefined) continue
    const report = await audit(flipped(files, place.name, place.at, mask), { runtime, network: store.network })
    if (report.ok) missed.push(`${place.name}:${place.at}^${mask}`)
  }
  mustHold(whole.ok && places.length > 0, 'the folder was not clean before', missed.length)
  return {
    trials,
    violations: missed.length,
    bytes: places.length,
    ...(missed.length > 0 && { missed: missed.slice(0, 10).join(' ') }),
  }
}
