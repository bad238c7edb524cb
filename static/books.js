// The file of the Books page: one that no body may hold is refused before it is sent, with the command that takes it.
"use strict";

for (const input of document.querySelectorAll("input[data-largest]")) {
  input.addEventListener("change", () => {
    const isTooLarge = input.files[0]?.size > Number(input.dataset.largest);
    input.setCustomValidity(isTooLarge ? input.dataset.tooLarge : "");
    input.reportValidity();
  });
}
