from tests.figures.arxiv.serving import arxiv as arxiv
