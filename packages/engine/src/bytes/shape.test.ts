import { expect, test } from 'vitest'
import type { Plain } from './plain.ts'
import { isBoolean, isBytes, isBytesUpTo, isHexText, isInteger, isList, isListOf, isMap, isText } from './shape.ts'

test('each shape takes its own kind within its limits and nothing else', () => {
  const three = Uint8Array.of(1, 2, 3)
  const hex = 'ab'.repeat(32)
  const values: readonly (Plain | undefined)[] = [
    undefined,
    null,
    true,
    3,
    2.5,
    2 ** 53,
    'é',
    hex,
    three,
    [1, 2],
    ['a', 'b'],
    new Map([['a', 1]]),
  ]
  const taken = (is: (value: Plain | undefined) => boolean) => values.filter(is)
  expect(taken((value) => isBytes(value))).toEqual([three])
  expect(taken((value) => isBytes(value, 3))).toEqual([three])
  expect(taken((value) => isBytes(value, 2))).toEqual([])
  expect(taken((value) => isBytesUpTo(value, 3))).toEqual([three])
  expect(taken((value) => isBytesUpTo(value, 2))).toEqual([])
  expect(taken((value) => isInteger(value))).toEqual([3])
  expect(taken((value) => isInteger(value, 4))).toEqual([])
  expect(taken((value) => isInteger(value, 0, 2))).toEqual([])
  expect(taken((value) => isText(value, 2))).toEqual(['é'])
  expect(taken((value) => isText(value, 1))).toEqual([])
  expect(taken((value) => isHexText(value, 32))).toEqual([hex])
  expect(taken((value) => isHexText(value, 31))).toEqual([])
  expect(taken((value) => isList(value, 2, 2))).toEqual([
    [1, 2],
    ['a', 'b'],
  ])
  expect(taken((value) => isList(value, 0, 1) || isList(value, 3, 9))).toEqual([])
  expect(taken((value) => isListOf(value, 0, 2, (item) => isInteger(item)))).toEqual([[1, 2]])
  expect(taken((value) => isMap(value, 1))).toEqual([new Map([['a', 1]])])
  expect(taken((value) => isMap(value, 0))).toEqual([])
  expect(taken((value) => isBoolean(value))).toEqual([true])
})
