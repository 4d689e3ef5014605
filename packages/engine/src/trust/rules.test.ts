import { describe, expect, test } from 'vitest'
import { WeftError } from '../bytes/refusal.ts'
import { certifiedOnly, isAllowed, isRepositoryPath, matchPath, type Rule, read, write } from './rules.ts'

const nobody = { session: undefined, owner: undefined }
const ada = { session: 'aa', owner: 'mail:ada@example.org' }
const silent = () => undefined

describe('a template', () => {
  test('fits paths of its parts, and names them', () => {
    expect({ ...matchPath('/board/:id', '/board/roadmap') }).toEqual({ id: 'roadmap' })
    expect({ ...matchPath('/:type/:id', '/board/roadmap') }).toEqual({ type: 'board', id: 'roadmap' })
    for (const path of ['/board', '/board/', '/board/a/b', 'board/a', '/Board/a', '/board//a', '', '/', '//']) {
      expect(matchPath('/board/:id', path), path).toBe(undefined)
    }
    expect(matchPath('/:type/:id', '//a')).toBe(undefined)
  })

  test('is no regular expression', () => {
    expect(matchPath('/b.ard/:id', '/board/a')).toBe(undefined)
    for (const template of [
      '/board/*',
      '/board/(a)',
      '/board/:',
      'board/:id',
      '',
      '/',
      '/board/:id/',
      '/a b/:id',
      '/board/:id\n',
    ]) {
      expect(() => read(template, () => true), template).toThrow(WeftError)
    }
  })

  test('does not name two parts alike', () => {
    expect(() => write('/:id/:id', () => true)).toThrow(WeftError)
  })

  test.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])('names a part %s like any other', (name) => {
    const params = matchPath(`/board/:${name}`, '/board/x')
    expect(params && Object.getPrototypeOf(params)).toBe(null)
    expect(params && Object.entries(params)).toEqual([[name, 'x']])
  })

  test('gives a rule nothing that the path did not', () => {
    const seen: unknown[] = []
    const rules = [
      read(
        '/board/:id',
        ({ params }) => seen.push(...['constructor', '__proto__', 'admin'].map((name) => params[name])) === 0,
      ),
    ]
    isAllowed(rules, 'read', '/board/x', ada, silent)
    expect(seen).toEqual([undefined, undefined, undefined])
  })
})

describe('rules', () => {
  test('deny unless one of the kind fits and says true', () => {
    const of = (rules: readonly Rule[], kind: Rule['kind'] = 'read') => isAllowed(rules, kind, '/board/x', ada, silent)
    expect(of([])).toBe(false)
    expect(of([write('/board/:id', () => true)])).toBe(false)
    expect(of([read('/list/:id', () => true)])).toBe(false)
    expect(of([read('/board/:id', () => false), read('/board/x', () => true)])).toBe(true)
    expect(of([write('/board/:id', () => true)], 'write')).toBe(true)
    const promise = Reflect.apply(read, undefined, ['/board/:id', async () => true]) as Rule
    expect(of([promise])).toBe(false)
  })

  test('that throw deny, and are told of', () => {
    const told: unknown[] = []
    const error = new Error('no')
    const throws = read('/board/:id', () => {
      throw error
    })
    expect(isAllowed([throws], 'read', '/board/x', ada, (rule, why) => told.push(rule, why))).toBe(false)
    expect(told).toEqual([throws, error])
    expect(isAllowed([throws, read('/board/:id', () => true)], 'read', '/board/x', ada, silent)).toBe(true)
  })

  test('of a network that names none let whoever has a certificate', () => {
    for (const kind of ['read', 'write'] as const) {
      expect(isAllowed(certifiedOnly, kind, '/board/x', ada, silent)).toBe(true)
      expect(isAllowed(certifiedOnly, kind, '/board/x', nobody, silent)).toBe(false)
    }
  })
})

test.each([
  '/board/roadmap',
  '/b/1',
  '/board/a.b-c_d',
  `/${'a'.repeat(64)}/${'b'.repeat(128)}`,
  '/system/x',
  '/board/..a',
  '/board/a..',
])('%s is a repository', (path) => {
  expect(isRepositoryPath(path)).toBe(true)
})

test.each([
  '',
  '/',
  '/board',
  '/board/',
  '//x',
  '/board/a/b',
  'board/a',
  '/sys/x',
  '/../x',
  '/board/..',
  '/./x',
  '/board/.',
  '/board/a b',
  '/board/a\n',
  '/board/ä',
  '/board/a%2fb',
  '/board/\u0000',
  `/${'a'.repeat(65)}/b`,
  `/a/${'b'.repeat(129)}`,
  '/board/a?b',
  '/board\\a',
])('%j is none', (path) => {
  expect(isRepositoryPath(path)).toBe(false)
})
