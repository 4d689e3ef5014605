/** An edit's number seeds what it does, so a plan can ask for edits of one kind by choosing their numbers. */
import { Stream } from '../random.ts'

export const kindsOfEdit = 21
/** A title is assigned. */
export const titleEdit = 6

export const editStream = (seed: string, draw: number): Stream => new Stream(seed, `edit/${draw}`)

/** A number whose edit is of this kind. */
export const drawOfKind = (seed: string, kind: number, stream: Stream): number => {
  for (;;) {
    const draw = stream.uint32()
    if (editStream(seed, draw).int(kindsOfEdit) === kind) return draw
  }
}
