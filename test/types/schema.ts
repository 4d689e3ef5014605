/**
 * Programs about schemas that must compile, and, marked by `@ts-expect-error`, programs that must not: the type check is their test.
 */
import {
  boolean,
  date,
  type Initial,
  type Item,
  type MapHandle,
  map,
  number,
  order,
  type SetHandle,
  schema,
  set,
  string,
  type TextHandle,
  text,
} from '@weft-db/engine'

const Card = schema('card', 1, {
  title: string(),
  done: boolean(),
  count: number(),
  due: date(),
  place: order(),
  tags: set(string()),
  days: set(date()),
  marks: map(number()),
  notes: text(),
})

type Same<One, Other> = (<T>() => T extends One ? 1 : 2) extends <T>() => T extends Other ? 1 : 2 ? true : false
const same = <One, Other>(_: Same<One, Other>): void => undefined

type CardItem = Item<typeof Card>
same<CardItem['title'], string>(true)
same<CardItem['done'], boolean>(true)
same<CardItem['count'], number>(true)
same<CardItem['due'], Date | null>(true)
same<CardItem['place'], string>(true)
same<CardItem['tags'], SetHandle<string>>(true)
same<CardItem['days'], SetHandle<Date | null>>(true)
same<CardItem['marks'], MapHandle<number>>(true)
same<CardItem['notes'], TextHandle>(true)
same<keyof CardItem, 'title' | 'done' | 'count' | 'due' | 'place' | 'tags' | 'days' | 'marks' | 'notes'>(true)
// @ts-expect-error: the comparison above tells types apart
same<CardItem['title'], string | undefined>(true)

export const written = (card: CardItem): void => {
  card.title = 'Ship'
  card.due = null
  card.due = new Date(0)
  card.tags.add('red')
  card.marks.set('a', 1)
  card.notes.insert(0, 'Hi')
  // @ts-expect-error: a string field takes strings
  card.title = 5
  // @ts-expect-error: a title is never absent
  card.title = null
  // @ts-expect-error: a date is no number
  card.due = 0
  // @ts-expect-error: there is no such field
  card.titel = 'Ship'
  // @ts-expect-error: a set is changed through its methods
  card.tags = new Set(['red'])
  // @ts-expect-error: a text is changed through its methods
  card.notes = 'Hi'
  // @ts-expect-error: an element is of the set's type
  card.tags.add(5)
  // @ts-expect-error: a value is of the map's type
  card.marks.set('a', '1')
  // @ts-expect-error: keys are texts
  card.marks.set(1, 1)
}

export const initial: Initial<typeof Card>[] = [
  {},
  { title: 'Ship', due: null, tags: ['red'], days: new Set([new Date(0)]), marks: { a: 1 }, notes: 'Hi' },
  // @ts-expect-error: there is no such field
  { titel: 'Ship' },
  // @ts-expect-error: elements are strings
  { tags: [5] },
  // @ts-expect-error: a text begins as a string
  { notes: ['Hi'] },
  // @ts-expect-error: a map begins as an object of its values
  { marks: { a: 'one' } },
]

// @ts-expect-error: elements are scalars
set(text())
// @ts-expect-error: values are scalars
map(set(string()))
// @ts-expect-error: no such limit
string({ min: 5 })
// @ts-expect-error: a limit is a number
number({ min: '5' })
// @ts-expect-error: a field is made by one of the field functions
schema('card', 1, { title: 'string' })
// @ts-expect-error: a schema has a version
schema('card', { title: string() })
