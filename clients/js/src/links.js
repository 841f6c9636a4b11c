/** Links to other websites, and to files. */

import { hit } from "./attributes.js";
import { listen } from "./say.js";
import { on, settings } from "./settings.js";
import { track } from "./track.js";

/** The file endings that count if the option names none. */
const FILES =
  "7z,apk,avi,csv,deb,dmg,doc,docx,epub,exe,gz,ics,iso,jar,key,mov,mp3,mp4,msi,odp,ods,odt,pdf,pkg,ppt,pptx,rar,rpm," +
  "rtf,tar,tgz,txt,wav,xls,xlsx,xml,zip";

/** @param {MouseEvent} event */
function follow(event) {
  /** @type {HTMLAnchorElement | undefined} */
  const link = hit(event, "a[href]");
  // A link in an SVG has no host. The right button opens a menu.
  if (!link?.host || event.button > 1) return;
  const { downloads } = settings;
  const data = { url: link.href };
  const ending = String(/[^.]*$/.exec(link.pathname)).toLowerCase();
  const endings = /^(true)?$/.test(downloads) ? FILES : String(downloads).replace(/\s/g, "");
  if (on("downloads") && (link.hasAttribute("download") || endings.split(",").includes(ending)))
    track("FileDownload", data);
  else if (on("outbound") && link.host != location.host) track("OutboundLink", data);
}

export function startLinks() {
  listen("click", follow);
  // The middle button.
  listen("auxclick", follow);
}
