/** Creating, changing and reading an item among 100,000: what the caller waits for, in µs of processor time, and what an item holds in memory and on disk. */
import type { Area } from './area.ts'
import { Child } from './child.ts'
import type { Figure, Role } from './figure.ts'
import { interleaved, median } from './measure.ts'

const area = 'local'
const engines: Readonly<Record<string, Role>> = {
  weft: 'weft',
  'Map and sorted array': 'baseline',
  SQLite: 'peer',
  Yjs: 'peer',
  Loro: 'peer',
  TinyBase: 'peer',
}
const operations = [
  { name: 'create', share: 0.02, limit: 8 },
  { name: 'update', share: 0.02, limit: 6 },
  { name: 'read', share: 0.1, limit: 1.5 },
] as const
const memoryLimit = 450
const diskLimit = 135

export const local: Area = async ({ quick }) => {
  const items = quick ? 20_000 : 100_000
  const rounds = quick ? 5 : 15
  const name = `an item among ${items.toLocaleString('en-US')}`
  const children = new Map<string, Child>()
  const figures: Figure[] = []
  const figure = (engine: string, metric: string, value: number, unit: string, limit?: number): Figure => ({
    area,
    case: name,
    engine,
    role: engines[engine] ?? 'note',
    metric,
    value,
    unit,
    ...(limit !== undefined && engine === 'weft' && { limit }),
  })
  try {
    for (const engine of Object.keys(engines)) {
      const child = Child.start(`local/${engine}`)
      if (!(await child.ask<boolean>('isReady'))) {
        await child.end()
        continue
      }
      children.set(engine, child)
      const memory = await child.ask<number | null>('populate', items)
      if (memory !== null) figures.push(figure(engine, 'memory', memory, 'B/item', memoryLimit))
      const stored = await child.ask<number | null>('stored')
      if (stored !== null) figures.push(figure(engine, 'on disk', stored, 'B/item', diskLimit))
    }
    for (const { name: operation, share, limit } of operations) {
      const times = Math.round(items * share)
      const turn = new Map(
        [...children].map(([engine, child]) => [
          engine,
          () => child.ask<{ cpu: number; behind: number }>(operation, times),
        ]),
      )
      await interleaved(2, turn)
      for (const [engine, spent] of await interleaved(rounds, turn)) {
        figures.push(figure(engine, operation, median(spent.map(({ cpu }) => cpu)) / times, 'µs CPU', limit))
        if (engine !== 'weft' || operation === 'read') continue
        const behind = median(spent.map((one) => one.behind)) / times
        figures.push(figure(engine, `${operation}, captured, signed and stored`, behind, 'µs CPU'))
      }
    }
  } finally {
    for (const child of children.values()) await child.end()
  }
  return figures
}
