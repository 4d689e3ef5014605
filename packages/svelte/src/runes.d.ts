/** The one rune this package uses; the Svelte compiler takes it out. */
declare function $derived<Value>(value: Value): Value
