/** docs/errors.md lists the whole catalogue, word for word. `UPDATE_DOCS=1 npx vitest run --project unit test/docs` writes it. */
import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { catalogue } from '@weft-db/engine'
import { expect, test } from 'vitest'

const file = fileURLToPath(new URL('../../docs/errors.md', import.meta.url))

test('docs/errors.md is the catalogue', async () => {
  const rows = Object.entries(catalogue)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([code, [sentence, remedy]]) => `| \`${code}\` | ${sentence} | ${remedy} |`)
  const text = [
    '# Errors',
    '',
    'Every refusal has a code, a sentence and a remedy. Thrown errors are `WeftError` with `code` and `about`; what happens behind an',
    "app's back comes to `db.onIncident(listener)` with the same code.",
    '',
    '| code | what happened | what to do |',
    '|---|---|---|',
    ...rows,
    '',
  ].join('\n')
  if (process.env.UPDATE_DOCS !== undefined) await writeFile(file, text)
  expect(await readFile(file, 'utf8')).toBe(text)
})
