// mdBook's index holds words between spaces, so it knows no Chinese ones. The texts of all sections
// lie in it, though: a query with Chinese is looked up there, every term anywhere in a section.
(() => {
    const bar = document.getElementById('mdbook-searchbar');
    if (!bar || !window.elasticlunr) return;
    const around = 60; // characters shown on either side of what was found
    const load = elasticlunr.Index.load.bind(elasticlunr.Index);
    elasticlunr.Index.load = config => {
        const index = load(config);
        const searchWords = index.search.bind(index);
        index.search = (query, options) => {
            if (!/\p{Script=Han}/u.test(query)) return searchWords(query, options);
            const terms = query.toLowerCase().split(/\s+/).filter(Boolean);
            return Object.entries(index.documentStore.docs)
                .map(([ref, doc]) => ({ ref, doc: excerpt(doc, terms), score: score(doc, terms) }))
                .filter(found => found.score > 0)
                .sort((a, b) => b.score - a.score);
        };
        return index;
    };

    // How often the terms occur, more for a title; 0 if one of them does not.
    function score(doc, terms) {
        const counts = terms.map(term => doc.body.toLowerCase().split(term).length - 1
            + (doc.title.toLowerCase().includes(term) ? 10 : 0));
        return Math.min(...counts) && counts.reduce((a, b) => a + b);
    }

    // The text around the first term, which mdBook marks if it stands between spaces.
    function excerpt(doc, terms) {
        const at = Math.max(0, doc.body.toLowerCase().indexOf(terms[0]));
        const from = Math.max(0, at - around);
        const text = doc.body.slice(from, at + around).replace(from ? /^\w+/ : '', '');
        return { ...doc, body: terms.reduce((body, term) => body.replaceAll(term, ` ${term} `), text) };
    }

    // mdBook listens to keys; an input method or the mouse can end a word without one.
    bar.addEventListener('input', () => bar.dispatchEvent(new KeyboardEvent('keyup')));
})();
