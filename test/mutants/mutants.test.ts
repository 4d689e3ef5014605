/** The suite must go red on every mutant. Each head names the world and the seed from which on it is looked for. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { applyPatch, readPatch } from './patch.ts'
import { judge, judgeMutants, mutantNames, tabMutants } from './run.ts'

const patch = `law: two is two
--- a/two.ts
+++ b/two.ts
@@ -1,3 +1,3 @@
 const one = 1
-const two = 2
+const two = 3
 const three = 3
`

describe('a patch', () => {
  const [file] = readPatch(patch).files
  if (file === undefined) throw new Error('the patch has no file')

  test('changes the lines it names, wherever they stand', () => {
    expect(readPatch(patch).head).toEqual({ law: 'two is two' })
    expect(file.path).toBe('two.ts')
    const lines = 'const zero = 0\nconst one = 1\nconst two = 2\nconst three = 3\n'
    expect(applyPatch(lines, file)).toBe('const zero = 0\nconst one = 1\nconst two = 3\nconst three = 3\n')
  })

  test('is refused where its lines stand not once', () => {
    expect(() => applyPatch('const one = 1\nconst two = 2 // even\nconst three = 3\n', file)).toThrow('stale patch')
    const twice = 'const one = 1\nconst two = 2\nconst three = 3\n'.repeat(2)
    expect(() => applyPatch(twice, file)).toThrow('2 times')
  })

  test('of the tabs, which the soak judges, is not stale', () => {
    const files = tabMutants().flatMap((path) => readPatch(readFileSync(path, 'utf8')).files)
    expect(files.length).toBeGreaterThanOrEqual(7)
    for (const file of files) {
      const source = readFileSync(new URL(`../../${file.path}`, import.meta.url), 'utf8')
      expect(applyPatch(source, file)).not.toBe(source)
    }
  })
})

describe('mutants', () => {
  test('the engine as it is lives', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'weft-patch-'))
    try {
      const empty = join(folder, 'none.patch')
      writeFileSync(empty, 'law: none is broken\n')
      expect(await judge(empty, 6)).toEqual({ killedBy: null, seed: null, tried: 6 })
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }, 300_000)

  test('each is killed', async () => {
    const lines: string[] = []
    const kills = await judgeMutants({ budget: 250, report: (line) => lines.push(line) })
    expect(Object.keys(kills)).toEqual(mutantNames())
    expect(mutantNames().length).toBeGreaterThanOrEqual(16)
    for (const [name, { killedBy }] of Object.entries(kills))
      expect(killedBy, `${name}\n${lines.join('\n')}`).not.toBeNull()
  }, 600_000)
})
