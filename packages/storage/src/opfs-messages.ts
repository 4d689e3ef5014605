/**
 * What page and worker say to each other. The page sends calls by the batch, all that it gathered in one turn; the worker carries them out
 * one after another and answers each batch with one message, in their order.
 */

/** The first message: the worker holds a Web Lock of this name for as long as it lives. */
export interface Birth {
  readonly life: string
}

/** `file`: a number that the answer to `open` gave. */
export type Call =
  | { readonly do: 'ready' | 'leave' | 'list' | 'syncNames'; readonly store: string }
  | { readonly do: 'open'; readonly store: string; readonly name: string; readonly create: boolean }
  | { readonly do: 'rename'; readonly store: string; readonly from: string; readonly to: string }
  | { readonly do: 'remove'; readonly store: string; readonly name: string }
  | { readonly do: 'size' | 'sync' | 'close'; readonly file: number }
  | { readonly do: 'read'; readonly file: number; readonly at: number; readonly length: number }
  | { readonly do: 'write'; readonly file: number; readonly at: number; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly do: 'truncate'; readonly file: number; readonly size: number }

export type Value = number | readonly string[] | Uint8Array<ArrayBuffer> | undefined

/** An exception loses its name on the way, so it is told apart. */
export type Outcome =
  | { readonly value: Value }
  | { readonly error: { readonly name: string; readonly message: string } }
