/** A member of the mesh in a process of its own: a Weft replica on a disk, which has its channels by WebRTC. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { anonymous, Database, type Repository, type Transport } from '@weft-db/engine'
import { memoryKeys, nodeRuntime } from '@weft-db/runtime/node'
import { socketIoTransport } from '@weft-db/socketio/client'
import { nodeFiles } from '@weft-db/storage/node'
import { webrtcTransport } from '@weft-db/webrtc/node'
import { decode } from '../../packages/engine/src/bytes/cbor.ts'
import { Card } from './card.ts'
import { sharedTime } from './clock.ts'
import { loadWrtc } from './mesh-bare.ts'
import type { Methods } from './methods.ts'

const path = '/bench/mesh'
/** Commits follow each other as fast as they are made. */
const unlimited = 1e6
/** The frame with which the server introduces. */
const members = 15

/** Tells when the server named somebody. */
const listening = (transport: Transport, introduced: () => void): Transport => ({
  stop: () => transport.stop(),
  start: (onChannel) =>
    transport.start((channel) => {
      const listen = channel.listen.bind(channel)
      channel.listen = (listener) =>
        listen({
          message: (bytes) => {
            if (isIntroduction(bytes)) introduced()
            listener.message(bytes)
          },
          drain: () => listener.drain(),
          closed: (reason) => listener.closed(reason),
        })
      onChannel(channel)
    }),
})

const isIntroduction = (bytes: Uint8Array): boolean => {
  const frame = bytes.length < 1_024 ? decode(bytes) : undefined
  return Array.isArray(frame) && frame[1] === members && Array.isArray(frame[3]) && frame[3].length > 0
}

const member = async (): Promise<Methods | undefined> => {
  const wrtc = await loadWrtc()
  if (wrtc === undefined) return undefined
  const runtime = nodeRuntime()
  let database: Database | undefined
  let folder = ''
  let introducedAt: number | undefined
  let linkedAt: number | undefined
  let seen = new Map<number, number>()

  const opened = (): Database => {
    if (database === undefined) throw new Error('a member that is not open')
    return database
  }
  const repository = (): Repository => opened().repository(path)
  const isLinked = (): boolean => opened().mesh.paths.some(({ kind }) => kind === 'direct' || kind === 'relayed')
  const until = (subscribe: (look: () => void) => () => void, holds: () => boolean): Promise<void> =>
    new Promise((resolve) => {
      if (holds()) return resolve()
      const stop = subscribe(() => {
        if (!holds()) return
        stop()
        resolve()
      })
    })
  const changed = (holds: () => boolean): Promise<void> => until((look) => repository().onChange(look), holds)

  return {
    /** Logs in; nothing is shared yet. */
    open: async (port: number, name: string) => {
      folder = mkdtempSync(join(tmpdir(), 'weft-bench-'))
      introducedAt = undefined
      linkedAt = undefined
      const transport = listening(socketIoTransport({ url: `http://127.0.0.1:${port}` }), () => {
        introducedAt ??= sharedTime()
      })
      database = new Database({
        schemas: [Card],
        runtime,
        storage: async () => ({ files: nodeFiles(folder), keys: memoryKeys(), mode: 'node', lasting: true }),
        transports: [transport],
        captureRate: unlimited,
        mesh: { transport: await webrtcTransport({ load: async () => wrtc }), mode: 'direct' },
      })
      await database.opened
      await database.login(anonymous(name))
      opened().mesh.onPaths(() => {
        if (isLinked()) linkedAt ??= sharedTime()
      })
    },
    /** Opens the repository; resolves with the time when it began. */
    join: async () => {
      const began = sharedTime()
      await repository().ready
      return began
    },
    linked: async () => {
      await until((look) => opened().mesh.onPaths(look), isLinked)
      return { introducedAt, linkedAt }
    },
    /** No channel to anybody is left. */
    alone: () =>
      until(
        (look) => opened().mesh.onPaths(look),
        () => !isLinked(),
      ).then(() => {
        linkedAt = undefined
        introducedAt = undefined
      }),
    level: () =>
      until(
        (look) => opened().mesh.onPaths(look),
        () => opened().mesh.paths.some(({ isLevel }) => isLevel),
      ),
    create: async () => {
      repository().create(Card, { title: 'Sync that costs the difference', points: -1, done: false }, { key: 'card' })
      await until(
        (look) => opened().onStatus(look),
        () => repository().unacknowledged === 0,
      )
    },
    watch: async () => {
      await changed(() => repository().item(Card, 'card') != null)
      repository().onChange(() => {
        const points = repository().item(Card, 'card')?.points ?? -1
        if (!seen.has(points)) seen.set(points, sharedTime())
      })
    },
    /** Writes so many changes, one every `pause` ms; gives when each began. */
    write: async (first: number, count: number, pause: number) => {
      const card = repository().item(Card, 'card')
      if (card == null) throw new Error('there is no card')
      const began: number[] = []
      for (let number = first; number < first + count; number++) {
        began.push(sharedTime())
        repository().transact(() => {
          card.points = number
          card.done = number % 2 === 0
          card.title = `Sync that costs the difference ${number % 10}`
        })
        await new Promise<void>((resolve) => void runtime.timer(pause, resolve))
      }
      return began
    },
    /** When each of those was seen. One that was overtaken was seen with the next. */
    seen: async (first: number, count: number) => {
      await changed(() => seen.has(first + count - 1))
      const times: number[] = []
      let next = 0
      for (let number = first + count - 1; number >= first; number--) {
        next = seen.get(number) ?? next
        times.unshift(next)
      }
      seen = new Map()
      return times
    },
    close: async () => {
      await database?.close()
      database = undefined
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

export const memberRoles = { 'mesh/member': member }
