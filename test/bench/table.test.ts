import { expect, test } from 'vitest'
import type { Line } from './figure.ts'
import { tableOf } from './table.ts'

const line = (name: string, engine: string, metric: string, value: number, more: Partial<Line> = {}): Line => ({
  area: 'area',
  case: name,
  engine,
  metric,
  value,
  unit: 'ms',
  ...more,
})

test('a case is one block, and what belongs to one metric stands together', () => {
  const table = tableOf([
    line('first', 'weft', 'time', 3, { limit: 2, ratioToBaseline: 1.5, baseline: 'bare' }),
    line('first', 'weft', 'bytes', 1_234.5, { limit: 2_000, ratioToBest: 0.5, bestPeer: 'Yjs' }),
    line('second', 'weft', 'time', 1),
    line('first', 'bare', 'time', 2),
    line('first', 'Yjs', 'bytes', 2_469),
  ])
  expect(table.split('\n').map((row) => row.replace(/ {2,}/g, ' | ').trim())).toEqual([
    'area: first',
    '| time | weft | 3 | ms | 1.5x bare | OVER 2',
    '| time | bare | 2 | ms',
    '| bytes | weft | 1,234.5 | ms | 0.5x Yjs | within 2,000',
    '| bytes | Yjs | 2,469 | ms',
    '',
    'area: second',
    '| time | weft | 1 | ms',
  ])
})
