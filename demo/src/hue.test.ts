import { expect, it } from 'vitest'
import { hueOf, initialsOf } from './hue.ts'

it('spreads names over at least twelve hues that stand well apart', () => {
  const hues = [...new Set(Array.from({ length: 2000 }, (_, at) => hueOf(`tag ${at}`)))].sort((a, b) => a - b)
  expect(hues.length).toBeGreaterThanOrEqual(12)
  const gaps = hues.map((hue, at) => (hues[at + 1] ?? (hues[0] ?? 0) + 360) - hue)
  expect(Math.min(...gaps)).toBeGreaterThanOrEqual(24)
  const counts = hues.map(
    (hue) => Array.from({ length: 2000 }, (_, at) => hueOf(`tag ${at}`)).filter((one) => one === hue).length,
  )
  expect(Math.max(...counts)).toBeLessThan(2 * Math.min(...counts))
})

it('tells the usual tags of a board apart', () => {
  const tags = [
    'bug',
    'feature',
    'docs',
    'design',
    'idea',
    'question',
    'release',
    'urgent',
    'blocked',
    'security',
    'test',
    'later',
  ]
  expect(new Set(tags.map(hueOf)).size).toBe(tags.length)
  expect(hueOf('docs')).toBe(hueOf('docs'))
})

it('takes the letters of the first and the last name', () => {
  expect(['Ada Lovelace', 'Ada', '  grace  brewster hopper ', '🦊 Fox', ''].map(initialsOf)).toEqual([
    'AL',
    'A',
    'GH',
    '🦊F',
    '',
  ])
})
