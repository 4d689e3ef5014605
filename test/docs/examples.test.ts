/** The examples of the README and the guide run as they stand, each in a directory of its own, with the packages of this workspace. */
import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const output = join(root, 'test/docs/output')

/** The TypeScript block after the comment that names it. */
const example = async (file: string, name: string): Promise<string> => {
  const text = await readFile(join(root, file), 'utf8')
  const [, code] = text.split(`<!-- example: ${name} -->\n\`\`\`ts\n`)
  if (code === undefined) throw new Error(`${file} has no example "${name}"`)
  return code.slice(0, code.indexOf('\n```'))
}

const run = (file: string, directory: string): Promise<{ code: number | null; output: string }> =>
  new Promise((resolve, reject) => {
    const loader = import.meta.resolve('tsx')
    const child = spawn(process.execPath, ['--import', loader, '--conditions=weft-source', file], { cwd: directory })
    let printed = ''
    child.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (printed += chunk.toString()))
    child.once('error', reject)
    child.once('exit', (code) => resolve({ code, output: printed }))
  })

afterAll(() => rm(output, { recursive: true, force: true }))

/** Runs it and gives what it printed. */
const printed = async (document: string, name: string): Promise<{ code: number | null; output: string }> => {
  const directory = await mkdtemp(join(tmpdir(), 'weft-example-'))
  await mkdir(output, { recursive: true })
  const file = join(output, `${name.replaceAll(' ', '-')}.ts`)
  await writeFile(file, await example(document, name))
  try {
    return await run(file, directory)
  } finally {
    await rm(directory, { recursive: true })
  }
}

test("the README's ten lines run as they stand", { timeout: 30_000 }, async () => {
  expect(await printed('README.md', 'ten lines')).toEqual({ code: 0, output: "[ 'Ship' ]\n" })
})

test('the others see where one is, as docs/mesh.md has it', { timeout: 30_000 }, async () => {
  expect(await printed('docs/mesh.md', 'presence')).toEqual({ code: 0, output: 'Ada at 3\n' })
})

test('the guide gives roles, refuses a viewer with the reason, and reads the history', {
  timeout: 30_000,
}, async () => {
  const lines = [
    'You can look at this board, but not change it. Later',
    'NotAllowed /board/:id',
    'Bob viewer',
    'Bob editor create By Bob true',
    'Ada owner create Ship true',
    '',
  ]
  expect(await printed('docs/guide.md', 'roles')).toEqual({ code: 0, output: lines.join('\n') })
})
