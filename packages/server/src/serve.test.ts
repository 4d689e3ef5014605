import { access, chmod, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { schema, string } from '@weft-db/engine'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { IncidentLog } from './incidents.ts'
import { urlOf } from './listen.ts'
import { type ServeOptions, type Server, serve } from './serve.ts'

const Card = schema('card', 1, { title: string() })
let folder: string
let servers: Server[]

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-serve-'))
  servers = []
})

afterEach(async () => {
  for (const server of servers) await server.close()
  await rm(folder, { recursive: true, force: true })
})

const started = async (options: Partial<ServeOptions> = {}): Promise<Server> => {
  const server = await serve({ schemas: [Card], data: join(folder, 'store'), port: 0, ...options })
  servers.push(server)
  return server
}

const app = async (): Promise<string> => {
  const path = join(folder, 'app')
  await mkdir(join(path, 'assets'), { recursive: true })
  await writeFile(join(path, 'index.html'), '<!doctype html><title>App</title>')
  await writeFile(join(path, 'assets', 'index-DrLcdShT.js'), 'console.log(1)')
  await writeFile(join(path, 'icon.svg'), '<svg/>')
  return path
}

const get = (server: Server, path: string, init?: RequestInit): Promise<Response> =>
  fetch(`http://127.0.0.1:${server.port}${path}`, init)

test('health tells what is open and what was refused', async () => {
  const server = await started()
  server.database.incident({ code: 'Gap', about: 'one' })
  server.database.incident({ code: 'Gap', about: 'two' })
  const response = await get(server, '/health')
  expect(response.status).toBe(200)
  expect(await response.json()).toMatchObject({
    network: server.network,
    repositories: 0,
    connections: 0,
    problem: null,
    incidents: { Gap: 2 },
  })
})

test('an app is served with its page for every path, hashed files for ever, and nothing outside', async () => {
  const server = await started({ static: await app() })
  for (const path of ['/', '/board/roadmap', '/index.html']) {
    const page = await get(server, path)
    expect([page.status, page.headers.get('cache-control')], path).toEqual([200, 'no-cache'])
    expect(await page.text()).toContain('App')
    expect(page.headers.get('content-security-policy')).toContain("default-src 'self'")
    expect(page.headers.get('x-content-type-options')).toBe('nosniff')
    expect(page.headers.get('referrer-policy')).toBe('no-referrer')
  }
  const script = await get(server, '/assets/index-DrLcdShT.js')
  expect(script.headers.get('cache-control')).toContain('immutable')
  expect((await get(server, '/icon.svg')).headers.get('cache-control')).toBe('no-cache')
  expect((await get(server, '/assets/gone-DrLcdShT.js')).status).toBe(404)
  const outside = await get(server, '/..%2f..%2fstore.key')
  expect(await outside.text()).not.toContain('PRIVATE')
  expect((await get(server, '/', { method: 'POST' })).status).toBe(405)
})

test('without an app there is nothing but health', async () => {
  const server = await started()
  expect((await get(server, '/')).status).toBe(404)
})

test('a restart keeps the network', async () => {
  const { network } = await started()
  await servers.pop()?.close()
  expect((await started()).network).toBe(network)
})

test('[R1] a folder that is lost costs no network, and one without the key is not served', async () => {
  const { network } = await started()
  await servers.pop()?.close()
  await rm(join(folder, 'store'), { recursive: true })
  expect((await started()).network).toBe(network)
  await servers.pop()?.close()
  await rm(join(folder, 'store'), { recursive: true })
  await rename(join(folder, 'store.key'), join(folder, 'away'))
  await expect(started()).rejects.toMatchObject({ code: 'KeyMissing' })
})

test('what keeps a server from starting is said with a remedy, and lets go of everything', async () => {
  const server = await started()
  await expect(started()).rejects.toMatchObject({ code: 'AlreadyOpen' })
  const other = join(folder, 'other')
  await expect(started({ data: other, port: server.port })).rejects.toMatchObject({
    code: 'CannotListen',
    message: expect.stringContaining(`port ${server.port} of 127.0.0.1 is in use`),
  })
  await started({ data: other })
  await expect(started({ data: join(folder, 'third'), static: join(folder, 'nowhere') })).rejects.toMatchObject({
    code: 'NoApp',
  })
  await writeFile(join(folder, 'file'), '')
  await expect(started({ data: join(folder, 'file', 'store') })).rejects.toMatchObject({ code: 'NotWritable' })
})

test('[H4] logs are never given a new key', async () => {
  await started()
  await servers.pop()?.close()
  const key = join(folder, 'store.key')
  await rename(key, join(folder, 'away'))
  await expect(started()).rejects.toMatchObject({ code: 'KeyMissing' })
  await expect(access(key)).rejects.toMatchObject({ code: 'ENOENT' })
  await started({ data: join(folder, 'other') })
  await expect(started({ keyFile: join(folder, 'other.key') })).rejects.toMatchObject({ code: 'WrongKey' })
  await expect(started({ keyFile: join(folder, 'store', 'key') })).rejects.toMatchObject({ code: 'KeyExposed' })
  await rename(join(folder, 'away'), key)
  await started()
})

test.runIf(process.platform !== 'win32')('[H4] a key that others may read is refused', async () => {
  await started()
  await servers.pop()?.close()
  await chmod(join(folder, 'store.key'), 0o640)
  await expect(started()).rejects.toMatchObject({ code: 'KeyExposed' })
})

test('incidents of one code take one line a minute, without control characters', () => {
  const lines: string[] = []
  let now = 0
  const log = new IncidentLog(
    (line) => lines.push(line),
    () => now,
  )
  const add = (): void => log.add({ code: 'Gap', about: '', repository: undefined, message: 'frame\n\u001b[31m 7' })
  for (now = 0; now < 60_000; now += 10_000) add()
  add()
  expect(lines).toEqual(['Gap: frame [31m 7', 'Gap: frame [31m 7 (and 5 more since the last line)'])
  expect(log.counts).toEqual({ Gap: 7 })
})

test('a server of this machine is named localhost, where browsers sign', () => {
  expect(urlOf('127.0.0.1', 1)).toBe('http://localhost:1')
  expect(urlOf('0.0.0.0', 1)).toBe('http://localhost:1')
  expect(urlOf('::1', 1)).toBe('http://localhost:1')
  expect(urlOf('2001:db8::1', 1)).toBe('http://[2001:db8::1]:1')
  expect(urlOf('example.org', 1)).toBe('http://example.org:1')
})
