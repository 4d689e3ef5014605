/**
 * docs/storage-format.md is enough to read a store: a reader in plain JavaScript, written from it alone, finds in logs that the engine wrote the
 * commits that the engine finds.
 */

import { isRefusal, readCommit } from '@weft-db/engine'
import { nodeRuntime } from '@weft-db/runtime/node'
import { expect, test } from 'vitest'
import { fromHex } from '../../packages/engine/src/bytes/bytes.ts'
import { encode } from '../../packages/engine/src/bytes/cbor.ts'
import { Authors, Draw } from '../../packages/engine/src/commit/authors.ts'
import { bearsSignature } from '../../packages/engine/src/commit/run.ts'
import { encodeFrame, frameKinds, scan } from '../../packages/engine/src/log/frame.ts'
import { PackedLogReader, PackedLogWriter } from '../../packages/engine/src/log/packedlog.ts'
import { filesOf, makeStore } from '../road/store.ts'
import { crc32c, readLog } from './storage-reader.mjs'

const { hash } = nodeRuntime()

const idsIn = (log: Uint8Array): string[] => {
  const packs = new PackedLogReader(hash)
  return scan(log).frames.flatMap((frame) => {
    const records = packs.records(frame)
    if (isRefusal(records)) return []
    // What nothing behind it in the frame vouches for was never acknowledged.
    return records.slice(0, records.findLastIndex(bearsSignature) + 1).map((bytes) => {
      const commit = readCommit(bytes, hash)
      if (isRefusal(commit)) throw new Error(commit.code)
      return commit.id
    })
  })
}

test('the checksum is CRC-32C', () => {
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283)
})

test('a reader written from the docs alone finds the commits of a real store', async () => {
  const store = await makeStore(20)
  try {
    let count = 0
    for (const [name, bytes] of await filesOf(store.server)) {
      if (!name.endsWith('.log')) continue
      const { network, path, ids, damage, torn } = readLog(Buffer.from(bytes))
      expect(ids).toEqual(idsIn(bytes))
      expect([network, damage, torn]).toEqual([path === '/sys' ? null : store.network, [], false])
      count += ids.length
    }
    expect(count).toBe(80)
  } finally {
    await store.remove()
  }
}, 30_000)

test('and those of whoever writes as no replica would, erased contents and damage included', () => {
  const context = { network: '5'.repeat(64), repository: '/board/odd' }
  for (let seed = 1; seed <= 20; seed++) {
    const draw = new Draw(seed)
    const authors = new Authors(seed, { ...context, hash })
    const writer = new PackedLogWriter(context)
    const header = encode([1, fromHex(context.network), context.repository, draw.bytes(16)])
    const frames = [encodeFrame(frameKinds.header, header)]
    for (let append = 0; append < 30; append++) {
      for (const { kind, payload } of writer.write(authors.some(draw.pick([1, 2, 7, 90]))))
        frames.push(encodeFrame(kind, payload))
      if (draw.chance(30)) frames.push(encodeFrame(frameKinds.known, Uint8Array.of(0xf7, 0xe5, 0xe6, 0xf7, 0xe5, 0xe6)))
    }
    const log = Buffer.concat(frames)
    const { ids, path } = readLog(log)
    expect([path, ids.length > 300], `seed ${seed}`).toEqual([context.repository, true])
    expect(ids, `seed ${seed}`).toEqual(idsIn(log))
    // What is damaged takes along what builds on it, and the reader goes on behind.
    const at = 200 + draw.int(log.length - 200)
    log[at] = (log[at] ?? 0) ^ 4
    const damaged = readLog(log)
    expect(damaged.ids, `seed ${seed}, byte ${at}`).toEqual(idsIn(log))
    expect(damaged.damage.length + Number(damaged.torn), `seed ${seed}, byte ${at}`).toBe(1)
  }
})
