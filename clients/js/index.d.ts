/** What `init` takes. Each is an attribute of the script tag, too: `doNotTrack` is `data-do-not-track`. */
export interface Options {
  /** The project's browser key, `pk_…`. */
  key: string;
  /** The server's address, such as `https://collector.example`, or a folder of your own that is proxied to it. */
  endpoint: string;
  /** Keep everything in memory; nothing is left in the browser. A lasting opt-out is kept all the same. */
  storage?: "none";
  /** Send nothing where the browser says Do Not Track or Global Privacy Control. */
  doNotTrack?: boolean;
  /** No page views but those of `page()`. */
  manual?: boolean;
  /** Pages are told apart by what comes after the `#`. */
  hash?: boolean;
  /** Send `OutboundLink` for links to other hosts. */
  outbound?: boolean;
  /** Send `FileDownload` for links to files; or for those with these endings alone, such as `"pdf,zip"`. */
  downloads?: boolean | string;
  /** Show every batch and its answer in the console. */
  debug?: boolean;
}

/** Values of an event. `category` and `label` (texts) and `value` (a number) have columns of their own. */
export type EventData = Record<string, unknown>;

/** Starts. Calls made before are kept until then. The second call, and any outside of a browser, does nothing. */
export function init(options: Options): void;

/** Sends an event. */
export function track(name: string, data?: EventData): void;

/** Sends a page view; by itself only with `manual`. */
export function page(data?: EventData): void;

/** From here on events have this user id; `null` forgets it. */
export function identify(id: string | number | null): void;

/** Sends nothing from this browser any more, and deletes what is kept in it. It lasts. */
export function optOut(): void;

/** Takes back `optOut`. */
export function optIn(): void;
