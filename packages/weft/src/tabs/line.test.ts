import { type Channel, limits, StorageError, WeftError } from '@weft-db/engine'
import { afterEach, describe, expect, test } from 'vitest'
import { Line, type LineEvents } from './line.ts'

const lines: Line[] = []
afterEach(() => {
  for (const line of lines.splice(0)) line.close()
})

/** What happens, in order; `next` waits for it. */
class Events {
  readonly #told: string[] = []
  #heard = (): void => undefined

  readonly tell = (event: string): void => {
    this.#told.push(event)
    this.#heard()
  }

  async next(): Promise<string> {
    for (;;) {
      const event = this.#told.shift()
      if (event !== undefined) return event
      await new Promise<void>((resolve) => {
        this.#heard = resolve
      })
    }
  }
}

const listen = (channel: Channel, { tell }: Events): void =>
  channel.listen({
    message: (bytes) => tell(`${bytes.length} of ${bytes.buffer.byteLength}`),
    drain: () => tell('drain'),
    closed: (reason) => tell(`closed: ${reason}`),
  })

/** Two ends of a line. The second one takes the channels that the first one dials. */
const pair = (answer: LineEvents['answer'] = async () => null) => {
  const name = `line ${crypto.randomUUID()}`
  const [near, far] = [new Events(), new Events()]
  const events = { answer, tidings: () => undefined, dialled: () => undefined }
  const one = new Line(name, { ...events, closed: () => near.tell('the other left') })
  const two: Line = new Line(name, {
    ...events,
    dialled: (call) => listen(two.open(call, false), far),
    closed: () => far.tell('the other left'),
  })
  lines.push(one, two)
  return { name, one, two, near, far }
}

describe('a channel between tabs', () => {
  test('brings messages in order, without the buffer that a view is of', async () => {
    const { one, near, far } = pair()
    const channel = one.open(1, true)
    listen(channel, near)
    expect([channel.isLocal, channel.initiator]).toEqual([true, true])
    channel.send(new Uint8Array(9).subarray(1, 3))
    channel.send(new Uint8Array(5))
    expect([await far.next(), await far.next()]).toEqual(['2 of 2', '5 of 5'])
    expect(() => channel.send(new Uint8Array(limits.frameBytes + 1))).toThrow(WeftError)
  })

  test('counts as buffered what the other end has not taken, and tells when that fell below the low mark', async () => {
    const { one, near } = pair()
    const channel = one.open(1, true)
    listen(channel, near)
    const half = limits.channelLowWater / 2
    for (let sent = 0; sent < 2; sent++) channel.send(new Uint8Array(half))
    expect(channel.buffered).toBe(2 * half)
    expect(await near.next()).toBe('drain')
    expect(channel.buffered).toBe(half)
  })

  test('ends at both ends, with the reason; what comes later is sent back', async () => {
    const { one, near, far } = pair()
    const channel = one.open(1, true)
    listen(channel, near)
    channel.send(new Uint8Array(1))
    channel.close('enough')
    channel.send(new Uint8Array(2))
    expect([await near.next(), await far.next(), await far.next()]).toEqual([
      'closed: enough',
      '1 of 1',
      'closed: enough',
    ])
    expect(channel.buffered).toBe(0)
  })

  test('ends with the line', async () => {
    const { one, two, near, far } = pair()
    const channel = one.open(1, true)
    listen(channel, near)
    channel.send(new Uint8Array(1))
    await far.next()
    two.close()
    expect([await near.next(), await near.next()]).toEqual(['closed: the other tab left', 'the other left'])
  })
})

test('a line that lost a message is closed at both ends', async () => {
  const { one, far, near, name } = pair(() => new Promise(() => undefined))
  const refused = expect(one.ask('wake', null)).rejects.toMatchObject({ code: 'Unreachable' })
  // As if it had been the one after the next.
  const port = new BroadcastChannel(name)
  port.postMessage({ number: 2, message: { kind: 'dial', call: 1 } })
  port.close()
  expect([await far.next(), await near.next()]).toEqual(['the other left', 'the other left'])
  await refused
})

describe('a question', () => {
  test('is answered by the other end, or refused with its reason', async () => {
    const { one } = pair(async (topic, ask) => {
      if (topic === 'read') throw new StorageError('DiskError', 'a.log')
      if (topic === 'root') throw new Error('a bug')
      if (topic === 'keep') throw new WeftError('Unreachable', JSON.stringify(ask))
      return null
    })
    expect(await one.ask('wake', null)).toBeNull()
    await expect(one.ask('read', { name: 'a.log' })).rejects.toMatchObject({ code: 'DiskError', about: 'a.log' })
    await expect(one.ask('root', null)).rejects.toMatchObject({ code: 'Fault', about: 'Error: a bug' })
    await expect(one.ask('keep', { path: '/a/b', id: 'c' })).rejects.toMatchObject({
      about: '{"path":"/a/b","id":"c"}',
    })
  })

  test('whose other end leaves is refused as unreachable, and so is one that comes later', async () => {
    const { one, two } = pair(() => new Promise(() => undefined))
    const asked = one.ask('wake', null)
    two.close()
    await expect(asked).rejects.toMatchObject({ code: 'Unreachable' })
    await expect(one.ask('wake', null)).rejects.toMatchObject({ code: 'Unreachable' })
  })
})
