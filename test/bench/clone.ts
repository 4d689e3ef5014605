/**
 * An empty replica that takes in a whole repository: everything verified, in memory and in its log. The floor is what no replica can do
 * without: hashing the same records as their ids demand, and storing their bytes.
 */
import { Child } from './child.ts'
import type { Figure } from './figure.ts'
import { interleaved, median } from './measure.ts'

interface Timed {
  readonly seconds: number
  readonly cpu: number
}

export const clones = async (rounds: number, count: number): Promise<Figure[]> => {
  const figures: Figure[] = []
  for (const apart of [false, true]) {
    const server = Child.start('server/weft')
    const child = Child.start('cloner')
    try {
      const port = await server.ask<number>('port')
      const writer = Child.start('cloner')
      await writer.ask('fill', port, count, 10, apart)
      await writer.end()
      const times = await interleaved<Timed>(
        rounds,
        new Map([
          ['weft', () => child.ask<Timed>('clone', port, count)],
          ['hashing and storing', () => child.ask<Timed>('floor')],
        ]),
      )
      const name = `clone of ${count.toLocaleString('en-US')} commits${apart ? ', each signed' : ' made in one go'}`
      for (const [engine, timed] of times) {
        const isWeft = engine === 'weft'
        const role = isWeft ? 'weft' : 'baseline'
        const common = { area: 'propagate', case: name, engine, role, ...(isWeft && { timesBaseline: 3 }) } as const
        figures.push({ ...common, metric: 'time', value: median(timed.map(({ seconds }) => seconds)), unit: 's' })
        figures.push({ ...common, metric: 'CPU', value: median(timed.map(({ cpu }) => cpu)), unit: 's' })
      }
    } finally {
      await child.end()
      await server.end()
    }
  }
  return figures
}
