import { spawnSync } from 'node:child_process'
import { mkdtemp, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { nodeFiles } from './node.ts'

const flags = ['--import', import.meta.resolve('tsx'), '--conditions=weft-source']
const folder = { path: '' }
beforeEach(async () => {
  folder.path = await mkdtemp(join(tmpdir(), 'weft-node-files-'))
})
afterEach(() => rm(folder.path, { recursive: true }))

test('directory and files are made for their owner alone', async () => {
  const path = join(folder.path, 'a', 'b')
  const files = nodeFiles(path)
  await (await files.open('log', true))?.close()
  const release = await files.lock()
  for (const directory of [path, join(folder.path, 'a')]) expect((await stat(directory)).mode & 0o777).toBe(0o700)
  for (const name of await readdir(path)) expect((await stat(join(path, name))).mode & 0o777, name).toBe(0o600)
  await release()
})

test('a symbolic link is not followed, and not listed', async () => {
  await writeFile(join(folder.path, 'target'), 'secret')
  const path = join(folder.path, 'store')
  const files = nodeFiles(path)
  expect(await files.list()).toEqual([])
  await symlink(join(folder.path, 'target'), join(path, 'log'))
  await expect(files.open('log', false)).rejects.toMatchObject({ code: 'DiskError' })
  await expect(files.open('log', true)).rejects.toMatchObject({ code: 'DiskError' })
  expect(await files.list()).toEqual([])
})

test('a directory that cannot be made is a DiskError, and is tried again', async () => {
  const path = join(folder.path, 'store')
  await writeFile(path, 'in the way')
  const files = nodeFiles(path)
  await expect(files.list()).rejects.toMatchObject({ name: 'StorageError', code: 'DiskError' })
  await rm(path)
  expect(await files.list()).toEqual([])
})

test('a file size limit gives a short write and then DiskFull', () => {
  const program = `
    import { nodeFiles } from ${JSON.stringify(new URL('./node.ts', import.meta.url).href)}
    const file = await nodeFiles(${JSON.stringify(folder.path)}).open('log', true)
    const counts = []
    for (let offset = 0; ; ) {
      const count = await file.write(offset, new Uint8Array(3000)).catch((error) => error.code)
      counts.push(count)
      if (typeof count !== 'number') break
      offset += count
    }
    await file.sync()
    console.log(JSON.stringify(counts))
  `
  // Blocks of 1024 bytes.
  const { stdout, stderr } = spawnSync(
    'bash',
    ['-c', 'ulimit -f 4; exec "$0" "$@"', process.execPath, ...flags, '--input-type=module', '-e', program],
    { encoding: 'utf8', env: { ...process.env, TSX_DISABLE_CACHE: '1' } },
  )
  expect(stderr).toBe('')
  expect(JSON.parse(stdout)).toEqual([3000, 1096, 'DiskFull'])
})
