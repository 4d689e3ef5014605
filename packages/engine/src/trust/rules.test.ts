import { describe, expect, test } from 'vitest'
import { type Refusal, WeftError } from '../bytes/refusal.ts'
import {
  certifiedOnly,
  create,
  foundersRole,
  grant,
  isRepositoryPath,
  judgeRules,
  matchPath,
  type Rule,
  read,
  versionsOf,
  write,
} from './rules.ts'

const nobody = { session: undefined, owner: undefined, role: undefined }
const ada = { session: 'aa', owner: 'mail:ada@example.org', role: 'editor' }
const silent = { report: () => undefined, twice: false }
const edit = { item: { schema: 'card', key: 'k' }, fields: ['title'], before: null, after: null }

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
    judgeRules(rules, 'read', '/board/x', ada, silent)
    expect(seen).toEqual([undefined, undefined, undefined])
  })
})

describe('rules', () => {
  const reading = (...rules: readonly Rule[]) => judgeRules(rules, 'read', '/board/x', ada, silent)

  test('[V3] B1: deny unless one of the kind fits and says true', () => {
    expect(reading()).toEqual({ code: 'NoRule', rule: undefined, reason: undefined })
    expect(reading(write('/board/:id', () => true))?.code).toBe('NoRule')
    expect(reading(read('/list/:id', () => true))?.code).toBe('NoRule')
    expect(reading(read('/board/:id', () => false))).toEqual({
      code: 'NotAllowed',
      rule: '/board/:id',
      reason: undefined,
    })
    expect(
      reading(
        read('/board/:id', () => false),
        read('/board/x', () => true),
      ),
    ).toBe(undefined)
    expect(judgeRules([write('/board/:id', () => true)], 'write', '/board/x', { ...ada, ...edit }, silent)).toBe(
      undefined,
    )
  })

  test('[V3] say why to a person, and nothing but true allows', () => {
    const why = read('/board/:id', () => 'Members only.')
    expect(
      reading(
        read('/board/:id', () => false),
        why,
      )?.reason,
    ).toBe('Members only.')
    for (const answer of [1, {}, [], 'true', null, undefined]) {
      const odd = Reflect.apply(read, undefined, ['/board/:id', () => answer]) as Rule
      expect(reading(odd)?.code, String(answer)).toBe('NotAllowed')
    }
  })

  test('[V3] B11: that throw or answer with a promise deny, and are told of', () => {
    const told: Refusal[] = []
    const faults = { report: (why: Refusal) => void told.push(why), twice: false }
    const throws = read('/board/:id', () => {
      throw new Error('no')
    })
    const promises = Reflect.apply(read, undefined, ['/board/:id', async () => true]) as Rule
    expect(judgeRules([throws], 'read', '/board/x', ada, faults)?.code).toBe('NotAllowed')
    expect(judgeRules([promises], 'read', '/board/x', ada, faults)?.code).toBe('NotAllowed')
    expect(told.map(({ code }) => code)).toEqual(['RuleThrew', 'RuleThrew'])
    expect(judgeRules([throws, read('/board/:id', () => true)], 'read', '/board/x', ada, faults)).toBe(undefined)
  })

  test('are asked twice in development, and one that wavers is told of', () => {
    const told: Refusal[] = []
    let asked = 0
    const wavers = read('/board/:id', () => ++asked % 2 === 0)
    const steady = read('/board/:id', () => true)
    for (const twice of [false, true]) {
      judgeRules([wavers, steady], 'read', '/board/x', ada, { report: (why) => void told.push(why), twice })
    }
    expect(told.map(({ code, about }) => [code, about])).toEqual([['RuleNotPure', 'read /board/:id']])
  })

  test('see what is computed only when they look, and cannot change it', () => {
    let computed = 0
    const input = {
      ...ada,
      ...edit,
      get before() {
        computed++
        return null
      },
    }
    const looks = write('/board/:id', ({ before }) => before === null)
    expect(judgeRules([write('/board/:id', () => true)], 'write', '/board/x', input, silent)).toBe(undefined)
    expect(computed).toBe(0)
    expect(judgeRules([looks], 'write', '/board/x', input, silent)).toBe(undefined)
    expect(computed).toBe(1)
    const changes = write('/board/:id', (change) => Reflect.set(change, 'role', 'owner'))
    expect(judgeRules([changes], 'write', '/board/x', input, silent)?.code).toBe('NotAllowed')
  })

  test('give the founder a role, where they say so', () => {
    const rules = [create('/board/:id', ({ owner }) => (owner === ada.owner ? 'owner' : undefined))]
    expect(foundersRole(rules, '/board/x', ada, silent)).toBe('owner')
    expect(foundersRole(rules, '/board/x', nobody, silent)).toBe(undefined)
    expect(foundersRole(rules, '/list/x', ada, silent)).toBe(undefined)
  })

  test('decide who gives which role to whom', () => {
    const rules = [
      grant(
        '/board/:id',
        ({ role, give, subject }) => role === 'owner' && give !== 'owner' && subject.role !== 'owner',
      ),
    ]
    const asks = (role: string, give: string | null, theirs?: string) =>
      judgeRules(rules, 'grant', '/board/x', { ...ada, role, give, subject: { owner: 'b', role: theirs } }, silent)
        ?.code
    expect([asks('owner', 'editor'), asks('owner', null, 'editor')]).toEqual([undefined, undefined])
    expect([asks('editor', 'editor'), asks('owner', 'owner'), asks('owner', null, 'owner')]).toEqual([
      'NotAllowed',
      'NotAllowed',
      'NotAllowed',
    ])
  })

  test('of a network that names none let whoever has a certificate', () => {
    expect(judgeRules(certifiedOnly, 'read', '/board/x', ada, silent)).toBe(undefined)
    expect(judgeRules(certifiedOnly, 'read', '/board/x', nobody, silent)?.code).toBe('NotAllowed')
    expect(judgeRules(certifiedOnly, 'write', '/board/x', { ...ada, ...edit }, silent)).toBe(undefined)
    expect(judgeRules(certifiedOnly, 'write', '/board/x', { ...nobody, ...edit }, silent)?.code).toBe('NotAllowed')
  })

  test('come in versions; without one they are version 0', () => {
    expect([...versionsOf(certifiedOnly).keys()]).toEqual([0])
    expect([...versionsOf({ 1: certifiedOnly, 3: [] }).keys()]).toEqual([1, 3])
    expect(() => versionsOf({ [-1]: [] })).toThrow(WeftError)
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
