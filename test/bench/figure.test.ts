import { describe, expect, test } from 'vitest'
import { type Figure, linesOf } from './figure.ts'

const figure = (engine: string, role: Figure['role'], value: number, more: Partial<Figure> = {}): Figure => ({
  area: 'area',
  case: 'case',
  engine,
  role,
  metric: 'time',
  value,
  unit: 'ms',
  ...more,
})
const lineOf = (figures: readonly Figure[]) => linesOf(figures).find(({ engine }) => engine === 'weft')

describe('a line of ours', () => {
  test('names the baseline and the ratio to it, whatever the peers take', () => {
    const line = lineOf([
      figure('weft', 'weft', 3),
      figure('quick', 'peer', 1),
      figure('bare', 'baseline', 2),
      figure('note', 'note', 0.1),
    ])
    expect(line).toMatchObject({ ratioToBaseline: 1.5, baseline: 'bare' })
    expect(line).not.toHaveProperty('bestPeer')
  })

  test('names the best peer where there is no baseline, and never a note', () => {
    const peers = [figure('slow', 'peer', 8), figure('best', 'peer', 4), figure('note', 'note', 1)]
    const line = lineOf([figure('weft', 'weft', 6), ...peers])
    expect(line).toMatchObject({ ratioToBest: 1.5, bestPeer: 'best' })
    expect(line).not.toHaveProperty('limit')
  })

  test('compares with the same metric of the same case alone', () => {
    const others = [
      figure('other', 'peer', 1, { metric: 'bytes' }),
      figure('another', 'peer', 1, { case: 'other case' }),
    ]
    expect(lineOf([figure('weft', 'weft', 6), ...others])).not.toHaveProperty('ratioToBest')
  })

  test('carries the strictest of its limits in its own unit', () => {
    const beside = [figure('bare', 'baseline', 10), figure('best', 'peer', 11)]
    const limitOf = (more: Partial<Figure>) => lineOf([figure('weft', 'weft', 9, more), ...beside])?.limit
    expect(limitOf({ limit: 20 })).toBe(20)
    expect(limitOf({ timesBaseline: 1.3 })).toBe(13)
    expect(limitOf({ limit: 20, timesBaseline: 1.3 })).toBe(13)
    expect(limitOf({ limit: 20, timesBaseline: 1.3, aheadOfBest: true })).toBe(11)
  })

  test('is not divided by a figure of nothing', () => {
    expect(lineOf([figure('weft', 'weft', 6), figure('free', 'baseline', 0)])).not.toHaveProperty('ratioToBaseline')
  })
})

test('a line of another engine has neither limit nor ratio', () => {
  const [line] = linesOf([figure('best', 'peer', 4, { limit: 3 }), figure('weft', 'weft', 2)])
  expect(line).toEqual({ area: 'area', case: 'case', engine: 'best', metric: 'time', value: 4, unit: 'ms' })
})

test('what is no whole number is told in three digits', () => {
  expect(linesOf([figure('a', 'peer', 0.123456), figure('b', 'peer', 1_234_567)]).map(({ value }) => value)).toEqual([
    0.123, 1_234_567,
  ])
})
