import { expect, test } from 'vitest'
import { limits } from '../bytes/limits.ts'
import type { Plain } from '../bytes/plain.ts'
import { decodeRecalling, encodeRecalling, type ItemName, type Recalling } from './recall.ts'

const schema = 'ab'.repeat(32)
const items = (count: number): ItemName[] => Array.from({ length: count }, (_, index) => ({ schema, key: `k${index}` }))

test('[S16] a question and its answer are what they were', () => {
  const messages: Recalling[] = [
    { kind: 'recall', number: 0, items: items(1) },
    { kind: 'recall', number: 7, items: items(limits.recallItems) },
    { kind: 'recalled', number: 7, whole: true },
    { kind: 'recalled', number: 0, whole: false },
  ]
  for (const message of messages) expect(decodeRecalling(encodeRecalling(message))).toEqual(message)
})

test('another message is none of these', () => {
  for (const message of [[0], [13, new Uint8Array(8)], [17, new Uint8Array(32), 1], [20], null, 'recall'] as Plain[])
    expect(decodeRecalling(message)).toBe(undefined)
})

test('whatever else it is, is refused', () => {
  const hash = new Uint8Array(32)
  const wrong: Plain[] = [
    [18],
    [18, 0],
    [18, 0, []],
    [18, -1, [[hash, 'k']]],
    [18, 0.5, [[hash, 'k']]],
    [18, 0, [[hash]]],
    [18, 0, [[hash, '']]],
    [18, 0, [[hash.subarray(1), 'k']]],
    [18, 0, [[hash, 'k', 1]]],
    [18, 0, [[hash, 'k']], 1],
    [18, 0, [[hash, 'k'.repeat(limits.nameBytes + 1)]]],
    encodeRecalling({ kind: 'recall', number: 0, items: items(limits.recallItems + 1) }),
    [19, 0],
    [19, 0, 1],
    [19, 0, true, null],
  ]
  for (const message of wrong) expect(decodeRecalling(message)).toMatchObject({ code: 'Malformed' })
})
