/** The attack catalogue as a sample: every row attacks, nothing gets through, and the patches that let something through still fit. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { applyPatch } from '../mutants/patch.ts'
import { campaigns, catalogue } from './catalogue.ts'
import { mutantNames, readMutant } from './mutant.ts'
import { runRows } from './run.ts'

/** The browser is the matter of `test/e2e`, the fuzzers' campaigns that of `test/fuzz`. */
const elsewhere = /\/(?:demo|fuzz|bombs)\.ts$/
const rows = Object.keys(catalogue).filter((row) => !elsewhere.test(catalogue[row]?.harness ?? ''))

test('no attack of the sample gets through', async () => {
  const lines: string[] = []
  const results = await runRows({ rows, full: false, seed: '1', report: (line) => lines.push(line) })
  expect(Object.keys(results)).toEqual(rows)
  const broken = Object.entries(results).filter(([, { violations }]) => violations > 0)
  expect(Object.fromEntries(broken), lines.join('\n')).toEqual({})
}, 120_000)

test('every row is run in full, in one campaign', () => {
  const run = campaigns.flatMap((campaign) => campaign.split(','))
  expect(run.sort()).toEqual(Object.keys(catalogue).sort())
})

test('every row has a mutant, and every mutant fits the tree', () => {
  const named = new Set<string>()
  for (const name of mutantNames()) {
    const mutant = readMutant(name)
    expect(mutant.rows.length, name).toBeGreaterThan(0)
    for (const row of mutant.rows) named.add(row)
    for (const file of mutant.files) {
      const text = readFileSync(new URL(`../../${file.path}`, import.meta.url), 'utf8')
      expect(() => applyPatch(text, file), name).not.toThrow()
    }
  }
  expect(Object.keys(catalogue).filter((row) => !named.has(row))).toEqual([])
})
